/// An inode's bytes, copied off the volume after their checksum was verified.
///
/// Layout: Linux `Documentation/filesystems/ext4/inodes.rst`.
package struct Ext4Node: Sendable {
    package let number: UInt64
    /// Byte offset of the inode on the volume.
    package let offset: UInt64
    package let bytes: [UInt8]
    package let mode: UInt16
    package let flags: Flags
    package let size: UInt64
    /// What all checksums of the inode's own blocks begin with.
    package let checksumSeed: UInt32

    /// Bits of `i_flags`.
    package struct Flags: OptionSet, Sendable {
        /// The bits.
        package let rawValue: UInt32
        /// Creates a set from bits.
        package init(rawValue: UInt32) { self.rawValue = rawValue }

        static let encrypted = Self(rawValue: 0x800)
        static let indexed = Self(rawValue: 0x1000)
        static let hugeFile = Self(rawValue: 0x4_0000)
        static let extents = Self(rawValue: 0x8_0000)
        static let verity = Self(rawValue: 0x10_0000)
        static let attributeInode = Self(rawValue: 0x20_0000)
        static let inlineData = Self(rawValue: 0x1000_0000)
        static let caseFold = Self(rawValue: 0x4000_0000)
    }

    /// Where `i_block`, the block map or extent root, begins in the inode.
    package static let mapOffset = 0x28
    /// How long it is.
    package static let mapByteCount = 60

    /// The type, which was checked to be one.
    package var type: FileType? { FileType(mode: mode) }
    /// `ext4 inode 12`, for errors.
    package var name: String { "ext4 inode \(number)" }
}

/// Reads the fields of one inode, from bytes that are at least 128 long.
struct Ext4InodeFields {
    let superblock: Ext4Superblock

    func flags(_ raw: RawSpan) throws(DiskError) -> Ext4Node.Flags {
        Ext4Node.Flags(rawValue: try raw.u32(at: 0x20))
    }

    /// The upper half counts for files and, under large_dir, directories; elsewhere it is another
    /// field.
    func size(_ raw: RawSpan) throws(DiskError) -> UInt64 {
        let mode = try raw.u16(at: 0)
        let low = UInt64(try raw.u32(at: 0x04))
        guard mode & 0xF000 == 0x8000 || superblock.features.has(.largeDirectories) else {
            return low
        }
        return try UInt64(raw.u32(at: 0x6C)) << 32 | low
    }

    /// The value that the public model shows; `number` is what the inode was found under.
    @inline(__always)
    func inode(_ raw: RawSpan, _ number: UInt64, _ type: FileType) throws(DiskError) -> Inode {
        let flags = try flags(raw)
        let extra = try extraEnd(raw)
        var inode = Inode(number: number, type: type, permissions: try raw.u16(at: 0))
        inode.userID = try UInt32(raw.u16(at: 0x02)) | UInt32(raw.u16(at: 0x78)) << 16
        inode.groupID = try UInt32(raw.u16(at: 0x18)) | UInt32(raw.u16(at: 0x7A)) << 16
        inode.linkCount = UInt32(try raw.u16(at: 0x1A))
        inode.size = try size(raw)
        inode.allocatedBytes = try allocatedBytes(raw, flags)
        inode.changed = try time(raw, 0x0C, extra: 0x84, extra)
        inode.modified = try time(raw, 0x10, extra: 0x88, extra)
        inode.accessed = try time(raw, 0x08, extra: 0x8C, extra)
        if extra >= 0x94 { inode.created = try time(raw, 0x90, extra: 0x94, extra) }
        if type == .characterDevice || type == .blockDevice { inode.device = try device(raw) }
        if try attributeStart(raw, extra) == nil, try attributeBlock(raw) == 0 {
            inode.mayHaveAttributes = false
        }
        if flags.contains(.encrypted) {
            inode.obstacle = .encrypted
        } else if flags.contains(.verity) {
            inode.obstacle = .verity
        }
        return inode
    }

    /// Where the fields end that this inode really has.
    func extraEnd(_ raw: RawSpan) throws(DiskError) -> Int {
        guard raw.byteCount > 128 else { return 128 }
        let extra = Int(try raw.u16(at: 0x80))
        guard extra <= raw.byteCount - 128, extra % 4 == 0 else {
            throw DiskError(.outOfRange, "", at: 0x80, "\(extra) bytes of extra fields")
        }
        return 128 + extra
    }

    /// Where the attributes behind the fields begin, which end at `extra`; nil without any.
    func attributeStart(_ raw: RawSpan, _ extra: Int) throws(DiskError) -> Int? {
        guard extra > 128, extra + 8 <= raw.byteCount, try raw.u32(at: extra) == 0xEA02_0000
        else { return nil }
        return extra + 4
    }

    /// The block with further attributes, or 0.
    func attributeBlock(_ raw: RawSpan) throws(DiskError) -> UInt64 {
        try UInt64(raw.u16(at: 0x76)) << 32 | UInt64(raw.u32(at: 0x68))
    }

    private func allocatedBytes(
        _ raw: RawSpan,
        _ flags: Ext4Node.Flags
    ) throws(DiskError) -> UInt64 {
        let low = UInt64(try raw.u32(at: 0x1C))
        guard superblock.features.hasHugeFiles else { return low * 512 }
        let blocks = try UInt64(raw.u16(at: 0x74)) << 32 | low
        let unit = flags.contains(.hugeFile) ? UInt64(superblock.blockSize) : 512
        let bytes = blocks.multipliedReportingOverflow(by: unit)
        return bytes.overflow ? .max : bytes.partialValue
    }

    /// Two bits of the extra field extend the seconds beyond 2038, the rest are nanoseconds.
    @inline(__always)
    private func time(
        _ raw: RawSpan,
        _ offset: Int,
        extra: Int,
        _ end: Int
    ) throws(DiskError) -> Timestamp {
        let seconds = Int64(Int32(truncatingIfNeeded: try raw.u32(at: offset)))
        guard extra + 4 <= end else { return Timestamp(seconds: seconds) }
        let more = try raw.u32(at: extra)
        return Timestamp(seconds: seconds + Int64(more & 3) << 32, nanoseconds: more >> 2)
    }

    /// Old kernels wrote 8 + 8 bits to the first word, newer ones 12 + 20 bits to the second.
    private func device(_ raw: RawSpan) throws(DiskError) -> Inode.Device {
        let old = try raw.u32(at: Ext4Node.mapOffset)
        if old != 0 { return Inode.Device(major: old >> 8 & 0xFF, minor: old & 0xFF) }
        let new = try raw.u32(at: Ext4Node.mapOffset + 4)
        return Inode.Device(major: new >> 8 & 0xFFF, minor: new & 0xFF | new >> 12 & 0xF_FF00)
    }
}
