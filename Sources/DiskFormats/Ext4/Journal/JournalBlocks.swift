// The blocks of a jbd2 log. Layout: Linux Documentation/filesystems/ext4/journal.rst; the sizes of
// the tags are those of the kernel's journal_tag_bytes(), which the document gives wrongly for
// checksum version 2: its tags are two bytes longer than those without checksums.

/// The header that begins every block of the log except data blocks.
struct JournalHeader {
    enum Kind: UInt32 {
        case descriptor = 1
        case commit = 2
        case revoke = 5
    }

    /// What the block is, or nil where its number means nothing in a log.
    let kind: Kind?
    /// The transaction that it belongs to.
    let sequence: UInt32

    static let byteCount = 12

    /// The header of `block`, or nil where the magic number is missing.
    init?(_ block: RawSpan) throws(DiskError) {
        guard try block.be(UInt32.self, at: 0) == JournalSuperblock.magic else { return nil }
        kind = Kind(rawValue: try block.be(UInt32.self, at: 4))
        sequence = try block.be(UInt32.self, at: 8)
    }
}

/// An entry of a descriptor block: where one of the data blocks that follow belongs.
struct JournalTag {
    /// The block of the file system that the data block is a copy of.
    let block: UInt64
    /// The data block began with the magic number, which was zeroed so that it is not mistaken.
    let isEscaped: Bool
    /// The checksum of sequence number and data, cut to 16 bits in version 2; zero without.
    let checksum: UInt32
}

extension JournalSuperblock {
    /// Bytes in a tag, apart from the UUID that may follow it.
    var tagByteCount: Int {
        switch checksums {
        case .version3: 16
        case .version2: has64BitNumbers ? 14 : 10
        case .none, .transaction: has64BitNumbers ? 12 : 8
        }
    }

    /// Bytes at the end of descriptor and revoke blocks that are left for their checksum.
    var tailByteCount: Int { checksums.inEachBlock ? 4 : 0 }

    /// The tags of a descriptor block, in the order of the data blocks that follow it.
    func tags(of descriptor: RawSpan) throws(DiskError) -> [JournalTag] {
        var tags: [JournalTag] = []
        var offset = JournalHeader.byteCount
        while offset + tagByteCount <= blockSize - tailByteCount {
            let raw = try descriptor.slice(at: offset, count: tagByteCount)
            // Version 3 has 32 bits of flags at 4, of which only the lower 16, at 6, are used.
            let flags = try raw.be(UInt16.self, at: 6)
            tags.append(try tag(raw, flags: flags))
            offset += tagByteCount
            if flags & 0x2 == 0 { offset += 16 }  // no "same UUID": a UUID follows
            if flags & 0x8 != 0 { break }  // the last tag
        }
        return tags
    }

    private func tag(_ raw: RawSpan, flags: UInt16) throws(DiskError) -> JournalTag {
        let low = try raw.be(UInt32.self, at: 0)
        let high = has64BitNumbers ? try raw.be(UInt32.self, at: 8) : 0
        let checksum: UInt32 =
            switch checksums {
            case .version3: try raw.be(UInt32.self, at: 12)
            case .version2: UInt32(try raw.be(UInt16.self, at: 4))
            case .none, .transaction: 0
            }
        return JournalTag(
            block: UInt64(high) << 32 | UInt64(low),
            isEscaped: flags & 0x1 != 0,
            checksum: checksum
        )
    }

    /// Whether the checksum at the end of a descriptor or revoke block is right, or there is none.
    func verifiesTail(of block: RawSpan) throws(DiskError) -> Bool {
        guard checksums.inEachBlock else { return true }
        let offset = blockSize - 4
        let stored = try block.be(UInt32.self, at: offset)
        return try stored == block.crc32c(seed: checksumSeed, skipping: offset)
    }

    /// Whether the checksum that versions 2 and 3 keep in a commit block is right.
    ///
    /// Only the first sector of the block need have reached the disk: as in the kernel, the sum
    /// may also be that of the header followed by zeros.
    func verifiesCommit(_ block: RawSpan) throws(DiskError) -> Bool {
        guard checksums.inEachBlock else { return true }
        let stored = try block.be(UInt32.self, at: 16)
        if try stored == block.crc32c(seed: checksumSeed, skipping: 16) { return true }
        var header = try block.array(at: 0, count: 64)
        header.append(contentsOf: repeatElement(0, count: blockSize - header.count))
        let span = header.span
        return try stored == span.raw.crc32c(seed: checksumSeed, skipping: 16)
    }

    /// Whether `data`, a copy in transaction `sequence`, matches the checksum of its tag.
    func verifies(data: RawSpan, checksum: UInt32, sequence: UInt32) -> Bool {
        var crc = CRC32C(seed: checksumSeed)
        crc.add(sequence.byteSwapped.littleEndian)
        crc.add(data)
        switch checksums {
        case .version3: return crc.value == checksum
        case .version2: return crc.value & 0xFFFF == checksum
        case .none, .transaction: return true
        }
    }

    /// Calls `body` with each block number that a revoke block names.
    func forEachRevoked(
        by block: RawSpan,
        _ body: (UInt64) throws(DiskError) -> Void
    ) throws(DiskError) {
        let used = Int(try block.be(UInt32.self, at: 12))  // with the header of 16 bytes
        guard used <= blockSize - tailByteCount else {
            throw DiskError(.outOfRange, "", at: 12, "\(used) bytes used of \(blockSize)")
        }
        let size = has64BitNumbers ? 8 : 4
        var offset = 16
        while offset + size <= used {
            try body(
                has64BitNumbers
                    ? block.be(UInt64.self, at: offset)
                    : UInt64(block.be(UInt32.self, at: offset))
            )
            offset += size
        }
    }
}
