import Foundation
import Testing

@testable import Checkers

/// What `glovebox fsck --json` said of one image of Fixtures/fsck: docs/json.md.
///
/// `Fixtures/fsck/table --record` writes these files.
struct Recording: Decodable {
    let volume: String
    let type: String
    let verdict: String
    let dirty: Bool
    let steps: [Step]
    let rehearsal: RecordedRehearsal?

    struct Step: Decodable {
        let command: String
        /// Absent where the program was ended.
        let exitCode: Int?
        let text: String
        let truncated: Bool

        var step: CheckStep {
            CheckStep(
                command: command,
                ending: exitCode.map { .exited($0) } ?? .timedOut,
                text: text,
                isTruncated: truncated
            )
        }
    }

    struct RecordedRehearsal: Decodable {
        let outcome: String
        let moved: [String]
        let lost: [String]
        let steps: [Step]
    }

    static let all: [Recording] = {
        let directory = Bundle.module.url(forResource: "Recorded", withExtension: nil)
        let files = directory.flatMap {
            try? FileManager.default.contentsOfDirectory(at: $0, includingPropertiesForKeys: nil)
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return (files ?? []).filter { $0.pathExtension == "json" }
            .sorted { $0.path < $1.path }
            .compactMap { try? decoder.decode(Recording.self, from: Data(contentsOf: $0)) }
    }()

    static func named(_ name: String) throws -> Recording {
        try #require(all.first { $0.volume == name })
    }

    /// Its shell for the check.
    var shell: RecordedShell { RecordedShell(steps: steps.map(\.step)) }
}

extension Recording: CustomTestStringConvertible {
    var testDescription: String { volume }
}

/// Answers with what was recorded, in its order; another command than the recorded one is an error.
struct RecordedShell: CheckShell {
    var steps: [CheckStep]
    var commands: [CheckCommand] = []

    mutating func run(_ command: CheckCommand) throws(CheckShellError) -> CheckStep {
        commands.append(command)
        guard let next = steps.first, next.command == command.name else {
            throw CheckShellError("\(command.name) was not recorded here")
        }
        steps.removeFirst()
        return next
    }
}
