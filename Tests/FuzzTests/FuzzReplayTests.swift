import Foundation
import FuzzTargets
import Testing

@Suite struct FuzzReplayTests {
    /// What once crashed, hung, or took too much memory: `Fuzz/crashes/TARGET`.
    private static func kept(_ target: FuzzTarget) throws -> [URL] {
        let directory = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fuzz/crashes/\(target.rawValue)")
        guard FileManager.default.fileExists(atPath: directory.path) else { return [] }
        return try FileManager.default.contentsOfDirectory(
            at: directory,
            includingPropertiesForKeys: nil
        )
    }

    // How long it takes is measured by the optimised program, not here.
    @Test(.timeLimit(.minutes(10)), arguments: FuzzTarget.allCases)
    func `what once crashed a reader does so no more`(target: FuzzTarget) throws {
        for file in try Self.kept(target) {
            target.run([UInt8](try Data(contentsOf: file)))
        }
    }

    @Test(arguments: FuzzTarget.allCases)
    func `inputs too short to be images end quietly`(target: FuzzTarget) {
        for count in 0..<16 {
            for byte in [0, 1, 0xFF] as [UInt8] { target.run(Array(repeating: byte, count: count)) }
        }
    }
}
