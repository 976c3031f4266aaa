internal import ArgumentParser
internal import Casework
internal import DiskFormats
internal import Glovebox
internal import JSON

struct UsageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "df",
        abstract: "Show how full the guest's file systems are.",
        discussion: """
            Example:
              glovebox df /var/lib/nova/instances/UUID

            The numbers are those of df(1) in the guest, as its superblocks record them.
            """
    )

    @OptionGroup var options: TargetOptions

    @Argument(help: "Image file, instance directory, or domain:NAME (ID, UUID).")
    var target: String

    func run() throws { try options.withInstance(at: target, for: .list, show) }

    private func show(_ instance: Instance) throws {
        var rows: [(volume: Volume, summary: FileSystemSummary, point: String?)] = []
        let tree = try? instance.guestTree()
        let mounts = tree.map { [$0.root] + $0.mounts(below: [UInt8(ascii: "/")]) } ?? []
        var failures: [GloveboxError] = []
        for disk in try instance.disks() {
            let volumes = disk.volumes + (try instance.innerVolumesAtHand(of: disk))
            // For boot loaders and config drives alone the engine is not started.
            let isWorthIt = volumes.contains { $0.needsEngine && !$0.isNeverRoot }
            for volume in volumes
            where !volume.needsEngine || isWorthIt || volume.isOpenedAlways {
                let summary: FileSystemSummary
                do throws(GloveboxError) { summary = try volume.fileSystem().summary } catch {
                    if Self.claimsToBeRead(volume) { failures.append(error) }
                    continue
                }
                let mount = mounts.first { $0.volume == volume.name }
                rows.append(
                    (volume, summary, mount.map { GuestName.escaped(GuestPath.joined($0.point)) })
                )
            }
        }
        guard !rows.isEmpty else {
            if let failure = failures.first { throw failure }
            throw GloveboxError(
                .unreadable,
                "\(target) holds no file system that is read natively.",
                advice: "`glovebox disks` shows what there is."
            )
        }
        var output = StandardOutput()
        if !options.json {
            try output.line(
                "Volume              Type        Size        Used   Available  Use  Inodes  Mounted at"
            )
        }
        for row in rows {
            try output.write(
                options.json
                    ? json(row.volume, row.summary, row.point, instance.consistency)
                    : line(row.volume, row.summary, row.point)
            )
        }
        try output.flush()
        for failure in failures.dropFirst() { Message.warn(failure.description) }
        if let failure = failures.first { throw failure }
    }

    /// Whether a volume holds what the native readers know, so that it is missed where it fails.
    private static func claimsToBeRead(_ volume: Volume) -> Bool {
        guard let found = try? volume.signatures() else { return true }
        return found.contains { Volume.nativeTypes.contains($0.type) }
            || volume.needsEngine && found.contains { Volume.isFileSystem($0.type) }
    }

    private func used(_ summary: FileSystemSummary) -> UInt64 {
        summary.totalBytes - min(summary.freeBytes, summary.totalBytes)
    }

    private func json(
        _ volume: Volume,
        _ summary: FileSystemSummary,
        _ point: String?,
        _ consistency: Consistency
    ) -> [UInt8] {
        var json = JSONText()
        json.object { json in
            json.member("volume", base64: "volume_base64", host: volume.name.description)
            json.member("type", summary.type)
            json.member("size", summary.totalBytes)
            json.member("used", used(summary))
            json.member("available", summary.availableBytes)
            json.member("inodes", summary.totalInodes)
            json.member(
                "inodes_used",
                summary.totalInodes - min(summary.freeInodes, summary.totalInodes)
            )
            json.member("reader", volume.reader?.rawValue ?? "none")
            json.member("consistency", consistency.rawValue)
            if let point { json.member("mounted_at", point) }
        }
        json.endLine()
        return json.bytes
    }

    private func line(_ volume: Volume, _ summary: FileSystemSummary, _ point: String?) -> [UInt8] {
        func percent(_ part: UInt64, _ whole: UInt64) -> String {
            guard whole > 0 else { return "-" }
            return "\(Int((Double(part) / Double(whole) * 100).rounded(.up)))%"
        }
        let used = used(summary)
        let inodesUsed = summary.totalInodes - min(summary.freeInodes, summary.totalInodes)
        let reachable = used.addingReportingOverflow(summary.availableBytes).partialValue
        let line = [
            Message.readable(volume.name.description).padded(to: 19),
            summary.type.padded(to: 6),
            humanSize(summary.totalBytes).aligned(to: 9),
            humanSize(used).aligned(to: 11),
            humanSize(summary.availableBytes).aligned(to: 11),
            percent(used, reachable).aligned(to: 4),
            percent(inodesUsed, summary.totalInodes).aligned(to: 7),
            " " + (point ?? "-"),
        ]
        return [UInt8]((line.joined(separator: " ") + "\n").utf8)
    }
}
