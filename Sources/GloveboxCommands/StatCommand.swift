internal import ArgumentParser
internal import Casework
internal import DiskFormats
internal import Glovebox
internal import JSON

struct StatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stat",
        abstract: "Show all that is known of one file.",
        discussion: """
            Examples:
              glovebox stat /var/lib/nova/instances/UUID /etc/passwd
              glovebox stat --json disk.local disk.local::/data.db

            A symbolic link in the last place is shown itself, not what it points to.
            """
    )

    @OptionGroup var options: TargetOptions

    @Argument(help: "Image file, instance directory, or domain:NAME (ID, UUID).")
    var target: String

    @Argument(help: "File in the guest.")
    var path: String

    func run() throws { try options.withInstance(at: target, for: .list, show) }

    private func show(_ instance: Instance) throws {
        let file = try instance.file(instance.path(path), followLast: false)
        let report = try FileReport(file)
        let object = "\(file.volume):\(GuestName.escaped(file.path))"
        let attributes = try reading(object) { () throws(DiskError) in
            try file.fileSystem.extendedAttributes(of: file.inode)
        }
        var output = StandardOutput()
        if options.json {
            try output.write(json(report, attributes, file, object, instance.consistency))
        } else {
            try output.write(text(report, attributes))
        }
        try output.flush()
    }

    private func json(
        _ report: FileReport,
        _ attributes: [ExtendedAttribute],
        _ file: GuestFile,
        _ object: String,
        _ consistency: Consistency
    ) throws(GloveboxError) -> [UInt8] {
        let (extents, isComplete) = try extents(of: file, report.inode, object)
        var json = JSONText()
        report.write(to: &json) { json in
            json.key("xattrs")
            json.array { json in
                for attribute in attributes {
                    json.object { json in
                        json.member("name", base64: "name_base64", attribute.name)
                        json.key("value_base64")
                        json.base64(attribute.value)
                    }
                }
            }
            json.member("consistency", consistency.rawValue)
            json.member("extents_known", file.fileSystem.knowsExtents)
            guard file.fileSystem.knowsExtents else { return }
            json.key("extents")
            json.array { json in for extent in extents { write(extent, to: &json) } }
            json.member("extents_complete", isComplete)
        }
        json.endLine()
        return json.bytes
    }

    private func write(_ extent: FileExtent, to json: inout JSONText) {
        json.object { json in
            json.member("offset", extent.fileOffset)
            json.member("length", extent.length)
            switch extent.content {
            case .volume(let offset):
                json.member(plain: "content", "data")
                json.member("disk_offset", offset)
            case .inline: json.member(plain: "content", "inline")
            case .hole: json.member(plain: "content", "hole")
            case .unwritten: json.member(plain: "content", "unwritten")
            case .unreadable(let error):
                json.member(plain: "content", "unreadable")
                json.member("error", error.description)
            }
        }
    }

    /// More than any file needs that is not meant to have many; past it the list is cut.
    private static let extentsMax = 100_000

    /// The first extents of a regular file, and whether these are all; offsets are those of the
    /// volume.
    private func extents(
        of file: GuestFile,
        _ inode: Inode,
        _ object: String
    ) throws(GloveboxError) -> ([FileExtent], isComplete: Bool) {
        guard inode.type == .regular, inode.obstacle == nil, inode.size > 0,
            file.fileSystem.knowsExtents
        else { return ([], isComplete: true) }
        let window: UInt64 = 1 << 30
        var extents: [FileExtent] = []
        var start: UInt64 = 0
        while start < inode.size, extents.count <= Self.extentsMax {
            let end = min(inode.size, start.addingReportingOverflow(window).partialValue)
            extents += try reading(object) { () throws(DiskError) in
                try file.fileSystem.extents(of: file.inode, in: start..<max(end, start + 1))
            }
            start = max(end, start + 1)
        }
        let isComplete = extents.count <= Self.extentsMax
        return (Array(extents.prefix(Self.extentsMax)), isComplete)
    }

    private func text(_ report: FileReport, _ attributes: [ExtendedAttribute]) -> String {
        let inode = report.inode
        var lines = [
            "path        \(GuestName.escaped(report.path))",
            "volume      \(Message.readable(report.volume.description))",
            "type        \(inode.type.rawValue)",
            "size        \(inode.size)",
            "allocated   \(inode.allocatedBytes)",
            "permissions \(FileReport.octal(inode.permissions))",
            "owner       \(inode.userID):\(inode.groupID)",
            "links       \(inode.linkCount)",
            "inode       \(inode.number)",
            "modified    \(inode.modified.iso8601)",
            "accessed    \(inode.accessed.iso8601)",
            "changed     \(inode.changed.iso8601)",
        ]
        if let created = inode.created { lines.append("created     \(created.iso8601)") }
        if let target = report.target { lines.append("target      \(GuestName.escaped(target))") }
        if let device = inode.device {
            lines.append("device      \(device.major):\(device.minor)")
        }
        if let obstacle = inode.obstacle { lines.append("content     \(obstacle.rawValue)") }
        for attribute in attributes {
            let value = GuestName.escaped(attribute.value)
            lines.append("xattr       \(GuestName.escaped(attribute.name)) = \(value)")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
