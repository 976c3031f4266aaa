internal import DiskFormats

// The values that several messages have in common, and how they are read again.

extension MessageWriter {
    mutating func add(_ volume: WorkerVolume) {
        add(volume.disk)
        add(volume.name)
        add(volume.type)
        add(volume.label)
        add(volume.uuid)
        add(volume.byteCount)
        add(list: volume.parts) { $0.add($1) }
    }

    mutating func add(_ mount: WorkerMount) {
        add(mount.number)
        add(mount.summary)
        add(mount.root)
        add(mount.hasAttributes)
    }

    mutating func add(_ status: WorkerStatus) {
        let inode = status.inode
        add(status.device)
        add(inode.number)
        add(UInt8(FileType.allCases.firstIndex(of: inode.type) ?? 0))
        add(inode.permissions)
        for value in [inode.userID, inode.groupID, inode.linkCount] { add(value) }
        add(inode.size)
        add(inode.allocatedBytes)
        for time in [inode.accessed, inode.modified, inode.changed] {
            add(time.seconds)
            add(time.nanoseconds)
        }
        add(optional: inode.device) { writer, device in
            writer.add(device.major)
            writer.add(device.minor)
        }
    }

    private mutating func add(_ summary: FileSystemSummary) {
        add(summary.type)
        add(summary.label)
        add(summary.uuid)
        add(UInt32(clamping: summary.blockSize))
        for value in [
            summary.totalBytes, summary.freeBytes, summary.availableBytes, summary.totalInodes,
            summary.freeInodes,
        ] {
            add(value)
        }
        switch summary.journal {
        case .clean: add(UInt8(0))
        case .replayed, .replayedByKernel: add(UInt8(1))
        case .ignored: add(UInt8(2))
        }
    }
}

extension MessageReader {
    mutating func mount() throws(DiskError) -> WorkerMount {
        WorkerMount(
            number: try u32(),
            summary: try summary(),
            root: try status(),
            hasAttributes: try flag()
        )
    }

    mutating func status() throws(DiskError) -> WorkerStatus {
        let device = try u64()
        let number = try u64()
        let types = FileType.allCases
        let index = Int(try u8())
        guard types.indices.contains(index) else { throw malformed("an unknown type of file") }
        var inode = Inode(number: number, type: types[index], permissions: try u16())
        inode.userID = try u32()
        inode.groupID = try u32()
        inode.linkCount = try u32()
        inode.size = try u64()
        inode.allocatedBytes = try u64()
        inode.accessed = try time()
        inode.modified = try time()
        inode.changed = try time()
        inode.device = try optional { (reader: inout MessageReader) throws(DiskError) in
            Inode.Device(major: try reader.u32(), minor: try reader.u32())
        }
        guard inode.size <= UInt64(Int64.max) else { throw malformed("a size past all bounds") }
        return WorkerStatus(device: device, inode: inode)
    }

    private mutating func time() throws(DiskError) -> Timestamp {
        Timestamp(seconds: try i64(), nanoseconds: try u32())
    }

    private mutating func summary() throws(DiskError) -> FileSystemSummary {
        var summary = FileSystemSummary(type: try text(), blockSize: 0, totalBytes: 0)
        summary.label = try run()
        summary.uuid = try text()
        summary.blockSize = Int(try u32())
        summary.totalBytes = try u64()
        summary.freeBytes = try u64()
        summary.availableBytes = try u64()
        summary.totalInodes = try u64()
        summary.freeInodes = try u64()
        switch try u8() {
        case 0: summary.journal = .clean
        case 1: summary.journal = .replayedByKernel
        case 2: summary.journal = .ignored
        default: throw malformed("an unknown state of the journal")
        }
        return summary
    }
}
