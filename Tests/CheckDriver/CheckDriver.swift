internal import Checkers
internal import Foundation
internal import GuestfsEngine

/// Checks raw images, many in one launch: `check-driver [--rehearse] [--nbd] TYPE:IMAGE…`, and prints
/// one JSON object a line. With `--nbd`, each IMAGE is the socket of an export, `TYPE:SIZE:SOCKET`.
@main
struct CheckDriver {
    static func main() throws {
        var arguments = Array(CommandLine.arguments.dropFirst())
        let rehearse = arguments.contains("--rehearse")
        let isNBD = arguments.contains("--nbd")
        arguments.removeAll { $0.hasPrefix("--") }
        var disks: [CheckDisk] = []
        var volumes: [CheckVolume] = []
        for (index, argument) in arguments.enumerated() {
            let parts = argument.split(separator: ":", maxSplits: isNBD ? 2 : 1).map(String.init)
            let path = parts[parts.count - 1]
            let size =
                isNBD
                ? UInt64(parts[1]) ?? 0
                : try FileManager.default.attributesOfItem(atPath: path)[.size] as? UInt64 ?? 0
            disks.append(isNBD ? .export(socket: path) : .file(path: path))
            volumes.append(
                CheckVolume(name: path, type: parts[0], disk: index, start: 0, byteCount: size)
            )
        }
        let runner = CheckRunner(disks: disks)
        for report in try runner.check(volumes, rehearse: rehearse) {
            let line = try JSONSerialization.data(withJSONObject: object(report), options: .sortedKeys)
            print(String(decoding: line, as: UTF8.self))
        }
    }

    private static func object(_ report: CheckReport) -> [String: Any] {
        var object: [String: Any] = [
            "volume": report.volume, "type": report.type, "verdict": report.verdict.rawValue,
            "dirty": report.wasDirty, "reason": report.reason, "steps": steps(report.steps),
        ]
        if let rehearsal = report.rehearsal {
            object["rehearsal"] = [
                "outcome": rehearsal.outcome.rawValue, "reason": rehearsal.reason,
                "moved": rehearsal.moved, "moved_count": rehearsal.movedCount,
                "lost": rehearsal.lost, "lost_count": rehearsal.lostCount,
                "steps": steps(rehearsal.steps),
            ]
        }
        return object
    }

    private static func steps(_ steps: [CheckStep]) -> [[String: Any]] {
        steps.map { ["command": $0.command, "code": $0.code ?? -1, "text": $0.text] }
    }
}
