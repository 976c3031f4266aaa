/// Reads the extent tree of one file.
///
/// Only nodes that the window needs are read. A node that is damaged makes exactly the blocks that
/// its parent gives it unreadable. Layout: Linux `Documentation/filesystems/ext4/ifork.rst`.
struct Ext4ExtentTree {
    let superblock: Ext4Superblock
    let cache: BlockCache
    let node: Ext4Node

    /// The format's own limit; a file system of 64 KiB blocks cannot need more.
    private static let depthMax = 5
    private static let entrySize = 12

    /// Adds what the window consists of to `builder`.
    func map(into builder: inout Ext4MapBuilder) {
        let span = node.bytes.span
        let place = node.offset + UInt64(Ext4Node.mapOffset)
        let all: Range<UInt64> = 0..<(1 << 32)
        do throws(DiskError) {
            let root = try span.raw.slice(at: Ext4Node.mapOffset, count: Ext4Node.mapByteCount)
            let depth = Int(try root.u16(at: 6))
            guard depth <= Self.depthMax else {
                throw DiskError(.outOfRange, "", at: 6, "depth \(depth), at most \(Self.depthMax)")
            }
            try map(root, depth, all, place, &builder)
        } catch {
            builder.add(all, .unreadable(error.within("\(node.name) extent tree", at: place)))
        }
    }

    /// Maps one node at byte `place`; throws without having added anything where it is damaged.
    private func map(
        _ raw: RawSpan,
        _ depth: Int,
        _ blocks: Range<UInt64>,
        _ place: UInt64,
        _ builder: inout Ext4MapBuilder
    ) throws(DiskError) {
        let count = try entryCount(raw, depth)
        if depth == 0 {
            try verifyLeaf(raw, count, blocks)
            try mapLeaf(raw, count, place, &builder)
        } else {
            try verifyIndex(raw, count, blocks)
            try mapIndex(raw, count, depth, blocks, place, &builder)
        }
    }

    private func entryCount(_ raw: RawSpan, _ depth: Int) throws(DiskError) -> Int {
        let magic = try raw.u16(at: 0)
        guard magic == 0xF30A else {
            throw DiskError(.badMagic, "", at: 0, "extent header does not begin with 0xF30A")
        }
        let count = Int(try raw.u16(at: 2))
        let room = Int(try raw.u16(at: 4))
        guard room <= (raw.byteCount - 12) / Self.entrySize, count <= room else {
            throw DiskError(.outOfRange, "", at: 2, "\(count) entries in room for \(room)")
        }
        guard try Int(raw.u16(at: 6)) == depth else {
            throw DiskError(
                .inconsistent,
                "",
                at: 6,
                "depth \(try raw.u16(at: 6)) where it must be \(depth)"
            )
        }
        guard count > 0 || depth == 0 else {
            throw DiskError(.inconsistent, "", at: 2, "an index node without entries")
        }
        return count
    }

    private func verifyLeaf(
        _ raw: RawSpan,
        _ count: Int,
        _ blocks: Range<UInt64>
    ) throws(DiskError) {
        var next = blocks.lowerBound
        for index in 0..<count {
            let at = 12 + index * Self.entrySize
            let (range, _) = try extent(raw, at)
            guard range.lowerBound >= next, range.upperBound <= blocks.upperBound else {
                throw DiskError(
                    .inconsistent,
                    "",
                    at: UInt64(at),
                    "extent of blocks \(range), but \(next)..<\(blocks.upperBound) are its place"
                )
            }
            next = range.upperBound
        }
    }

    /// The blocks of an extent, and whether they were never written.
    @inline(__always)
    private func extent(_ raw: RawSpan, _ at: Int) throws(DiskError) -> (Range<UInt64>, Bool) {
        let first = UInt64(try raw.u32(at: at))
        let length = UInt64(try raw.u16(at: at + 4))
        guard length > 0 else {
            throw DiskError(.outOfRange, "", at: UInt64(at + 4), "an extent of length 0")
        }
        // Lengths over 2^15 mean 2^15 less, and that the blocks are allocated but not written.
        if length > 0x8000 { return (first..<(first + length - 0x8000), true) }
        return (first..<(first + length), false)
    }

    private func mapLeaf(
        _ raw: RawSpan,
        _ count: Int,
        _ place: UInt64,
        _ builder: inout Ext4MapBuilder
    ) throws(DiskError) {
        for index in 0..<count {
            let at = 12 + index * Self.entrySize
            let (range, unwritten) = try extent(raw, at)
            guard builder.wants(range) else { continue }
            let low = UInt64(try raw.u32(at: at + 8))
            let start = UInt64(try raw.u16(at: at + 6)) << 32 | low
            let length = range.upperBound - range.lowerBound
            guard start > superblock.firstDataBlock, start + length <= superblock.blocksCount else {
                let error = DiskError(
                    .outOfRange,
                    "\(node.name) extent",
                    at: place + UInt64(at),
                    "blocks \(start)..<\(start + length), of \(superblock.blocksCount)"
                )
                builder.add(range, .unreadable(error))
                continue
            }
            if unwritten {
                builder.add(range, .unwritten)
            } else {
                builder.add(range, physical: start)
            }
        }
    }

    private func verifyIndex(
        _ raw: RawSpan,
        _ count: Int,
        _ blocks: Range<UInt64>
    ) throws(DiskError) {
        var next = blocks.lowerBound
        for index in 0..<count {
            let at = 12 + index * Self.entrySize
            let first = UInt64(try raw.u32(at: at))
            guard first >= next, first < blocks.upperBound else {
                throw DiskError(
                    .inconsistent,
                    "",
                    at: UInt64(at),
                    "index of block \(first), but \(next)..<\(blocks.upperBound) are its place"
                )
            }
            next = first + 1
        }
    }

    private func mapIndex(
        _ raw: RawSpan,
        _ count: Int,
        _ depth: Int,
        _ blocks: Range<UInt64>,
        _ place: UInt64,
        _ builder: inout Ext4MapBuilder
    ) throws(DiskError) {
        for index in 0..<count {
            let at = 12 + index * Self.entrySize
            let first = UInt64(try raw.u32(at: at))
            let isLast = index + 1 == count
            let end = isLast ? blocks.upperBound : UInt64(try raw.u32(at: at + Self.entrySize))
            guard builder.wants(first..<end) else { continue }
            let low = UInt64(try raw.u32(at: at + 4))
            let child = UInt64(try raw.u16(at: at + 8)) << 32 | low
            do throws(DiskError) {
                try mapChild(child, depth - 1, first..<end, place + UInt64(at), &builder)
            } catch {
                builder.add(first..<end, .unreadable(error))
            }
        }
    }

    private func mapChild(
        _ block: UInt64,
        _ depth: Int,
        _ blocks: Range<UInt64>,
        _ entry: UInt64,
        _ builder: inout Ext4MapBuilder
    ) throws(DiskError) {
        guard block > superblock.firstDataBlock, block < superblock.blocksCount else {
            throw DiskError(
                .outOfRange,
                "\(node.name) extent index",
                at: entry,
                "block \(block), of \(superblock.blocksCount)"
            )
        }
        let place = block << superblock.blockShift
        do throws(DiskError) {
            try cache.withBytes(at: place, count: superblock.blockSize) {
                (raw) throws(DiskError) in
                try verifyChecksum(raw)
                try map(raw, depth, blocks, place, &builder)
            }
        } catch {
            throw error.structure.isEmpty
                ? error.within("\(node.name) extent block", at: place) : error
        }
    }

    /// The checksum stands behind the room for entries, not behind the last entry.
    private func verifyChecksum(_ raw: RawSpan) throws(DiskError) {
        guard superblock.features.hasMetadataChecksums else { return }
        let end = 12 + Int(try raw.u16(at: 4)) * Self.entrySize
        var sum = CRC32C(seed: node.checksumSeed)
        sum.add(try raw.slice(at: 0, count: end))
        guard try raw.u32(at: end) == sum.value else {
            throw DiskError(.badChecksum, "", at: UInt64(end), "its checksum does not match")
        }
    }
}
