/// Reads the block map of a file without extents: twelve blocks, then one, two and three levels of
/// blocks full of block numbers.
///
/// Layout: Linux `Documentation/filesystems/ext4/blockmap.rst`. Nothing guards these blocks with a
/// checksum; numbers outside the file system make the blocks they stand for unreadable.
struct Ext4IndirectBlocks {
    let superblock: Ext4Superblock
    let cache: BlockCache
    let node: Ext4Node

    /// Adds what the window consists of to `builder`.
    func map(into builder: inout Ext4MapBuilder) {
        let span = node.bytes.span
        var next: UInt64 = 0
        for index in 0..<15 {
            let level = max(0, index - 11)
            let end = next + blocks(under: level)
            let range = next..<end
            next = end
            guard builder.wants(range) else { continue }
            let at = Ext4Node.mapOffset + index * 4
            do throws(DiskError) {
                let pointer = try span.raw.u32(at: at)
                map(UInt64(pointer), level, range, node.offset + UInt64(at), &builder)
            } catch {
                builder.add(range, .unreadable(error.within(node.name, at: node.offset)))
            }
        }
    }

    /// How many blocks of the file a pointer of `level` stands for.
    private func blocks(under level: Int) -> UInt64 {
        let perBlock = UInt64(superblock.blockSize / 4)
        return (0..<level).reduce(1) { count, _ in count * perBlock }
    }

    /// Maps what the pointer at byte `place` leads to.
    private func map(
        _ pointer: UInt64,
        _ level: Int,
        _ range: Range<UInt64>,
        _ place: UInt64,
        _ builder: inout Ext4MapBuilder
    ) {
        guard pointer != 0 else { return }
        guard pointer > superblock.firstDataBlock, pointer < superblock.blocksCount else {
            let error = DiskError(
                .outOfRange,
                "\(node.name) block map",
                at: place,
                "block \(pointer), of \(superblock.blocksCount)"
            )
            return builder.add(range, .unreadable(error))
        }
        guard level > 0 else { return builder.add(range, physical: pointer) }
        let block = pointer << superblock.blockShift
        do throws(DiskError) {
            try cache.withBytes(at: block, count: superblock.blockSize) {
                (raw) throws(DiskError) in
                try mapPointers(raw, level - 1, range, block, &builder)
            }
        } catch {
            builder.add(range, .unreadable(error.within("\(node.name) block map", at: place)))
        }
    }

    private func mapPointers(
        _ raw: RawSpan,
        _ level: Int,
        _ range: Range<UInt64>,
        _ place: UInt64,
        _ builder: inout Ext4MapBuilder
    ) throws(DiskError) {
        let step = blocks(under: level)
        let first = max(range.lowerBound, builder.firstBlock)
        let end = min(range.upperBound, builder.endBlock)
        guard first < end else { return }
        let last = (end - 1 - range.lowerBound) / step
        for index in ((first - range.lowerBound) / step)...last {
            let at = Int(index) * 4
            let start = range.lowerBound + index * step
            let pointer = UInt64(try raw.u32(at: at))
            map(pointer, level, start..<(start + step), place + UInt64(at), &builder)
        }
    }
}
