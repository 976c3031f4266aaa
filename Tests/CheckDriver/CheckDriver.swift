internal import Checkers
internal import Foundation
internal import GuestfsEngine

/// Checks raw images, many in one launch, and prints one JSON object a line.
///
///     check-driver [--rehearse] [--nbd] TYPE[@START+SIZE]:IMAGE…
///
/// With `--nbd`, each IMAGE is the socket of an export, and START+SIZE are needed.
@main
struct CheckDriver {
    static func main() throws {
        var arguments = Array(CommandLine.arguments.dropFirst())
        let rehearse = arguments.contains("--rehearse")
        let isNBD = arguments.contains("--nbd")
        arguments.removeAll { $0.hasPrefix("--") }
        var paths: [String] = []
        var volumes: [CheckVolume] = []
        for argument in arguments {
            let volume = try volume(argument, &paths)
            volumes.append(volume)
        }
        let disks = paths.map { isNBD ? CheckDisk.export(socket: $0) : .file(path: $0) }
        let runner = CheckRunner { () throws(CheckShellError) in try CheckAppliance(disks) }
        for report in try runner.check(volumes, rehearse: rehearse) {
            let line = try JSONSerialization.data(
                withJSONObject: object(report),
                options: .sortedKeys
            )
            print(String(decoding: line, as: UTF8.self))
        }
    }

    private static func volume(_ argument: String, _ paths: inout [String]) throws -> CheckVolume {
        let parts = argument.split(separator: ":", maxSplits: 1).map(String.init)
        let path = parts[1]
        let place = parts[0].split(separator: "@").map(String.init)
        let range = place.count > 1 ? place[1].split(separator: "+").compactMap { UInt64($0) } : []
        let disk = paths.firstIndex(of: path) ?? paths.count
        if disk == paths.count { paths.append(path) }
        let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? UInt64
        return CheckVolume(
            name: argument.contains("@") ? argument : path,
            type: place[0],
            disk: disk,
            start: range.first ?? 0,
            byteCount: range.last ?? size ?? 0
        )
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
