internal import Casework
internal import DiskFormats
internal import Glovebox
internal import JSON

/// What `disks` says of one disk; a disk that cannot be opened does not hide the others.
struct DiskReport {
    let name: String
    let disk: Disk?
    let failure: GloveboxError?
    let volumes: [VolumeReport]

    /// Opens all disks of an instance and looks at each volume.
    ///
    /// Throws only where there is a single disk: then its failure is the whole answer.
    static func all(of instance: Instance) throws(GloveboxError) -> [DiskReport] {
        var reports: [DiskReport] = []
        for name in instance.diskNames {
            do throws(GloveboxError) {
                let disk = try instance.disk(name)
                let inner = try instance.innerVolumesAtHand(of: disk)
                let volumes = (disk.volumes + inner).map(VolumeReport.init)
                reports.append(DiskReport(name: name, disk: disk, failure: nil, volumes: volumes))
            } catch {
                if instance.diskNames.count == 1 { throw error }
                reports.append(DiskReport(name: name, disk: nil, failure: error, volumes: []))
            }
        }
        return reports
    }

    /// The document that docs/json.md describes.
    static func json(
        target: String,
        consistency: Consistency,
        _ reports: [DiskReport]
    ) -> [UInt8] {
        var json = JSONText()
        json.object { json in
            json.member("schema", "glovebox.disks/1")
            json.member("target", base64: "target_base64", host: target)
            json.member("consistency", consistency.rawValue)
            json.key("disks")
            json.array { json in for report in reports { report.write(to: &json) } }
        }
        json.endLine()
        return json.bytes
    }

    private func write(to json: inout JSONText) {
        json.object { json in
            json.member("name", base64: "name_base64", host: name)
            if let failure { json.member("error", Message.readable(failure.description)) }
            guard let disk else { return }
            json.member("path", base64: "path_base64", host: disk.image.path)
            json.member("format", disk.image.format.rawValue)
            json.member("size", disk.image.source.byteCount)
            json.key("layers")
            json.array { json in
                for layer in disk.image.layers {
                    json.object { json in
                        json.member("path", base64: "path_base64", host: layer.path)
                        json.member("format", layer.format.rawValue)
                        json.member("size", layer.virtualSize)
                        json.member("file_size", layer.fileSize)
                        json.member("allocated", layer.allocatedBytes)
                    }
                }
            }
            json.key("partition_table")
            write(disk.table, to: &json)
            json.key("volumes")
            json.array { json in for volume in volumes { volume.write(to: &json) } }
            json.key("warnings")
            json.array { json in
                for warning in disk.image.warnings { json.string(Message.readable(warning)) }
            }
        }
    }

    private func write(_ table: PartitionTable, to json: inout JSONText) {
        json.object { json in
            json.member("type", table.kind.rawValue)
            if table.kind != .none {
                json.member("uuid", table.identifier)
                json.member("sector_size", UInt64(table.sectorSize))
            }
            json.key("problems")
            json.array { json in for problem in table.problems { json.string("\(problem)") } }
        }
    }

    /// The report for people.
    func text(wide: Bool) -> String {
        guard let disk else { return "\(name)  cannot be opened: \(failure?.message ?? "")\n\n" }
        let size = humanSize(disk.image.source.byteCount)
        let table =
            disk.table.kind == .none ? "no partition table" : disk.table.kind.rawValue.uppercased()
        var text = "\(name)  \(size), \(disk.image.format), \(table)\n"
        for (depth, layer) in disk.image.layers.enumerated() {
            let indent = String(repeating: "  ", count: depth)
            let arrow = depth == 0 ? "" : "└ "
            text += "  \(indent)\(arrow)\(layer.path)  "
            text += "(\(layer.format), \(humanSize(layer.allocatedBytes)) on the host)\n"
        }
        for volume in volumes { text += volume.text(wide: wide) }
        return text + "\n"
    }
}

/// What `disks` says of one volume.
struct VolumeReport {
    private let volume: Volume
    private let signatures: [VolumeSignature]
    private let summary: FileSystemSummary?
    private let failure: GloveboxError?

    /// Looks at the signatures and opens the file system where a native reader may know it.
    init(_ volume: Volume) {
        self.volume = volume
        var found: [VolumeSignature] = []
        var summary: FileSystemSummary?
        var failure: GloveboxError?
        do throws(GloveboxError) {
            found = try volume.signatures()
            if volume.isInner || volume.isOpenedAlways {
                if found.first.map({ Volume.isFileSystem($0.type) }) == true {
                    summary = try volume.fileSystem().summary
                }
            } else if found.isEmpty || Volume.nativeTypes.contains(found[0].type) {
                summary = try volume.fileSystem().summary
            }
        } catch {
            failure = error
        }
        self.signatures = found
        self.summary = summary
        self.failure = failure
    }

    func write(to json: inout JSONText) {
        json.object { json in
            json.member("name", volume.name.volume)
            json.member("size", volume.source.byteCount)
            if volume.isInner { json.member("inner", true) }
            if let partition = volume.partition {
                json.member("number", partition.number)
                json.member("start", partition.start)
                json.member("partition_type", partition.type)
                json.member("partition_name", base64: "partition_name_base64", partition.name)
                json.member("partition_uuid", partition.uuid)
                json.member("bootable", partition.bootable)
            }
            guard !signatures.isEmpty || summary != nil else { return }
            json.key("content")
            writeContent(to: &json)
        }
    }

    private func writeContent(to json: inout JSONText) {
        json.object { json in
            json.member("type", signatures.first?.type ?? summary?.type ?? "")
            json.member("usage", signatures.first?.usage.rawValue ?? "filesystem")
            json.member(
                "label",
                base64: "label_base64",
                signatures.first?.label ?? summary?.label ?? []
            )
            json.member("uuid", signatures.first?.uuid ?? summary?.uuid ?? "")
            if signatures.count > 1 {
                json.key("also")
                json.array { json in for other in signatures.dropFirst() { json.string(other.type) }
                }
            }
            json.member("reader", volume.reader?.rawValue ?? "none")
            if let summary {
                json.member("size", summary.totalBytes)
                json.member("free", summary.freeBytes)
                json.member("available", summary.availableBytes)
                json.member("inodes", summary.totalInodes)
                json.member("inodes_free", summary.freeInodes)
                json.member(plain: "journal", journal(summary.journal))
            } else if let size = signatures.first?.byteCount {
                json.member("size", size)
            }
            if let failure { json.member("error", Message.readable(failure.description)) }
            json.key("problems")
            json.array { json in
                for problem in summary?.problems ?? [] { json.string("\(problem)") }
            }
        }
    }

    private func journal(_ state: FileSystemSummary.JournalState) -> StaticString {
        switch state {
        case .clean: "clean"
        case .replayed, .replayedByKernel: "replayed"
        case .ignored: "ignored"
        }
    }

    func text(wide: Bool) -> String {
        let shown = GuestName.escaped([UInt8](volume.name.volume.utf8))
        let name = (volume.name.volume.isEmpty ? "whole" : shown).padded(to: 6)
        var line = "    \(name) \(humanSize(volume.source.byteCount).aligned(to: 9))  "
        let type = signatures.map(\.type).joined(separator: "+")
        line += (type.isEmpty ? summary?.type ?? "-" : type).padded(to: 12)
        if let summary {
            let used = summary.totalBytes - min(summary.freeBytes, summary.totalBytes)
            let fraction = summary.totalBytes > 0 ? Double(used) / Double(summary.totalBytes) : 0
            let percent = "\(Int((fraction * 100).rounded()))%".aligned(to: 4)
            line += wide ? " \(bar(fraction, width: 20))\(percent)" : " \(percent) used"
        }
        let label = signatures.first?.label ?? summary?.label ?? []
        if !label.isEmpty { line += "  \"\(GuestName.escaped(label))\"" }
        if let uuid = signatures.first?.uuid ?? summary?.uuid, !uuid.isEmpty { line += "  \(uuid)" }
        if case .replayed = summary?.journal { line += "  (journal replayed in memory)" }
        if summary?.journal == .replayedByKernel { line += "  (journal replayed)" }
        if let failure, !type.isEmpty { line += "\n           \(failure.message)" }
        return line + "\n"
    }
}
