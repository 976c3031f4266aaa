import Digests
import Foundation
import Linux

@testable import Custody

/// Journals as a custodian would have written them, a record a millisecond.
enum Journals {
    static let name = "20260131T235959Z-0123456789abcdef"
    static let uuid = "6f1c2d3e-0000-4000-8000-0123456789ab"
    static let reader = ProcessIdentity(processID: 4_711, startTicks: 99)

    static func opening(
        _ mode: HoldMode = .strict,
        session: String = name,
        uuid: String = uuid
    ) -> SessionRecord.Opening {
        SessionRecord.Opening(
            session: session,
            run: DomainRun(uuid: uuid, id: 7),
            domain: "instance-0000002a",
            mode: mode,
            bootID: "0f0e0d0c-1111-4222-8333-0123456789ab",
            uri: "qemu:///system",
            pauseSecondsMax: 60,
            user: "alice",
            program: ProcessIdentity(processID: 100, startTicks: 1),
            custodian: ProcessIdentity(processID: 101, startTicks: 2)
        )
    }

    static func times(_ number: Int) -> Times {
        Times(
            seconds: 1_800_000_000,
            nanoseconds: UInt32(number),
            monotonic: 5_000_000_000 + UInt64(number) * 1_000_000
        )
    }

    /// The lines of those records with their newlines, whatever order they are in.
    static func lines(_ records: [SessionRecord]) -> [[UInt8]] {
        var chain = HashChain()
        return records.enumerated().map { number, record in
            SessionJournal.encoded(times(number).line(record), after: &chain)
        }
    }

    static func journal(_ records: [SessionRecord]) -> [UInt8] { Array(lines(records).joined()) }

    /// A session in which the domain is suspended for as long as it is read.
    static let strict: [SessionRecord] = [
        .opened(opening()), .suspending(seenRunning: 5_000_900_000), .suspended,
        .connected(readers: [reader]), .mounted, .unmounted, .disconnected, .resuming,
        .resumed(.confirmed), .ended(.finished),
    ]

    /// A session in which a point in time is read.
    static let brief: [SessionRecord] = [
        .opened(opening(.brief)), .suspending(seenRunning: 5_000_900_000), .suspended, .exporting,
        .exported, .resuming, .resumed(.confirmed), .connected(readers: [reader]), .mounted,
        .unmounted, .disconnected, .withdrawing, .withdrawn, .ended(.finished),
    ]

    /// A session of which the custodian was killed.
    static let recovered: [SessionRecord] = [
        .opened(opening()), .suspending(seenRunning: 5_000_900_000), .suspended,
        .connected(readers: [reader, reader]), .invalidated(reason: "it \"ran\"\n\u{1B}[2J ünd so"),
        .recovering(by: reader), .resuming, .resumed(.gone), .ended(.recovered),
    ]

    static let all = [strict, brief, recovered]
}

/// Why `body` was refused; nil where it was not.
func refusal<Value>(_ body: () throws -> Value) -> String? {
    do {
        _ = try body()
        return nil
    } catch SessionError.refused(let reason) {
        return reason
    } catch {
        return "not refused: \(error)"
    }
}

/// A directory that goes with its value.
final class Scratch {
    let path = FileManager.default.temporaryDirectory.path + "/custody-" + UUID().uuidString

    init() throws {
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var store: SessionStore { SessionStore(stateDirectory: path + "/state") }
    var sessions: String { path + "/state/sessions" }
    func journal(_ name: String = Journals.name) -> String { "\(sessions)/\(name)/journal" }

    /// Puts a session there as if one had been left behind.
    func leave(_ records: [SessionRecord], name: String = Journals.name) throws {
        try FileManager.default.createDirectory(
            atPath: "\(sessions)/\(name)",
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        for path in [path + "/state", sessions] { try permit(path, 0o700) }
        try write(Journals.journal(records), name)
    }

    func write(_ bytes: [UInt8], _ name: String = Journals.name) throws {
        try Data(bytes).write(to: URL(filePath: journal(name)))
        try permit(journal(name), 0o600)
    }

    func permit(_ path: String, _ permissions: Int) throws {
        try FileManager.default.setAttributes(
            [.posixPermissions: permissions],
            ofItemAtPath: path
        )
    }

    func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: sessions).sorted()
    }
}

extension SessionStore {
    /// Of the only session: its history, or nil where it is refused or there is none.
    var onlyHistory: SessionHistory? {
        guard let entry = try? list().first, case .history(let history) = entry.content else {
            return nil
        }
        return history
    }
}

@discardableResult func run(_ arguments: String...) throws -> Int32 {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = arguments
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus
}
