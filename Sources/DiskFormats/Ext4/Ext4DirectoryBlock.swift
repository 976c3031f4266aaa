/// Reads the entries of one directory block, or of the part of an inode that stands for one.
///
/// Layout: Linux `Documentation/filesystems/ext4/directory.rst`.
struct Ext4DirectoryBlock {
    let superblock: Ext4Superblock

    /// An entry as it stands in the block.
    struct Entry {
        let inode: UInt64
        /// Where the name is, within the block.
        let nameOffset: Int
        let nameLength: Int
        let type: FileType?
    }

    /// Parses the entry at `at` and moves `at` past it; nil where it is unused.
    @inline(__always)
    func next(_ raw: RawSpan, _ at: inout Int) throws(DiskError) -> Entry? {
        let start = at
        let record = try raw.slice(at: start, count: 8)
        let inode = UInt64(try record.u32(at: 0))
        let length = recordLength(try record.u16(at: 4))
        let nameLength = Int(try record.u8(at: 6))
        guard length >= 12, length % 4 == 0, length <= raw.byteCount - start,
            nameLength + 8 <= length
        else {
            throw DiskError(
                .outOfRange,
                "",
                at: UInt64(start + 4),
                "an entry of \(length) bytes with a name of \(nameLength), "
                    + "\(raw.byteCount - start) bytes before the end"
            )
        }
        at = start + length
        guard inode != 0 else { return nil }
        guard inode <= superblock.inodesCount, nameLength > 0 else {
            throw DiskError(
                .outOfRange,
                "",
                at: UInt64(start),
                "an entry for inode \(inode) with a name of \(nameLength) bytes"
            )
        }
        let type = superblock.features.has(.fileType) ? Self.type(try record.u8(at: 7)) : nil
        return Entry(inode: inode, nameOffset: start + 8, nameLength: nameLength, type: type)
    }

    /// Blocks of 64 KiB need 17 bits: the two lowest, which alignment leaves free, extend it.
    @inline(__always)
    private func recordLength(_ value: UInt16) -> Int {
        let length = Int(value)
        guard superblock.blockSize == 65536 else { return length }
        if length == 0 || length == 65535 { return 65536 }
        return length & ~3 | (length & 3) << 16
    }

    @inline(__always)
    private static func type(_ code: UInt8) -> FileType? {
        switch code {
        case 1: .regular
        case 2: .directory
        case 3: .characterDevice
        case 4: .blockDevice
        case 5: .fifo
        case 6: .socket
        case 7: .symbolicLink
        default: nil
        }
    }
}

extension Ext4DirectoryBlock {
    /// Verifies the checksum of a directory block, and gives the bytes that hold entries.
    ///
    /// Index blocks of a hashed directory look like blocks of unused entries and have their
    /// checksum behind the index (`struct dx_tail`), the others in an entry of their own at the end
    /// (`struct ext4_dir_entry_tail`).
    func verify(_ raw: RawSpan, seed: UInt32, isIndexed: Bool, isFirst: Bool) throws(DiskError)
        -> Int
    {
        guard superblock.features.hasMetadataChecksums else { return raw.byteCount }
        if isIndexed, let index = try Ext4HashBlock(raw, self, isFirst: isFirst) {
            try index.verify(raw, seed: seed)
            return raw.byteCount
        }
        let end = raw.byteCount - 12
        guard try raw.u32(at: end) == 0, try raw.u16(at: end + 4) == 12,
            try raw.u16(at: end + 6) == 0xDE00
        else {
            throw DiskError(.badChecksum, "", at: UInt64(end), "it has no checksum at its end")
        }
        var sum = CRC32C(seed: seed)
        sum.add(try raw.slice(at: 0, count: end))
        guard try raw.u32(at: end + 8) == sum.value else {
            throw DiskError(.badChecksum, "", at: UInt64(end + 8), "its checksum does not match")
        }
        return end
    }

    /// The record length of the entry at `at`.
    func recordLength(_ raw: RawSpan, at: Int) throws(DiskError) -> Int {
        recordLength(try raw.u16(at: at + 4))
    }
}

/// The index in a block of a hashed directory: pairs of hash and block.
struct Ext4HashBlock {
    /// Where the count stands, in place of the first hash.
    let countOffset: Int
    let count: Int
    let limit: Int

    /// Nil where the block is no index block; throws where it is one and damaged.
    init?(_ raw: RawSpan, _ format: Ext4DirectoryBlock, isFirst: Bool) throws(DiskError) {
        if isFirst {
            guard try format.recordLength(raw, at: 0) == 12,
                try format.recordLength(raw, at: 12) == raw.byteCount - 12,
                try raw.u32(at: 24) == 0, try raw.u8(at: 29) == 8
            else { return nil }
            countOffset = 32
        } else {
            guard try raw.u32(at: 0) == 0,
                try format.recordLength(raw, at: 0) == raw.byteCount
            else { return nil }
            countOffset = 8
        }
        limit = Int(try raw.u16(at: countOffset))
        count = Int(try raw.u16(at: countOffset + 2))
        let room = raw.byteCount - countOffset
        guard count >= 1, count <= limit, limit * 8 <= room else {
            throw DiskError(
                .outOfRange,
                "",
                at: UInt64(countOffset),
                "an index of \(count) entries, with a limit of \(limit)"
            )
        }
    }

    func verify(_ raw: RawSpan, seed: UInt32) throws(DiskError) {
        let tail = countOffset + limit * 8
        var sum = CRC32C(seed: seed)
        sum.add(try raw.slice(at: 0, count: countOffset + count * 8))
        sum.add(try raw.slice(at: tail, count: 4))
        sum.add(UInt32(0))
        guard try raw.u32(at: tail + 4) == sum.value else {
            throw DiskError(.badChecksum, "", at: UInt64(tail + 4), "its checksum does not match")
        }
    }

    /// Hash and block of entry `index`; the first one's hash is 0.
    func entry(_ raw: RawSpan, _ index: Int) throws(DiskError) -> (hash: UInt32, block: UInt64) {
        let at = countOffset + index * 8
        let block = UInt64(try raw.u32(at: at + 4)) & 0x0FFF_FFFF
        return (index == 0 ? 0 : try raw.u32(at: at), block)
    }
}
