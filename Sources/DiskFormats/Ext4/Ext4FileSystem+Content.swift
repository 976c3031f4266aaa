extension Ext4FileSystem {
    /// What the bytes `range` of a file consist of; see ``FileSystem/extents(of:in:)``.
    ///
    /// Costs the part of the block map that describes the range. A damaged part of the map makes
    /// exactly the range that it describes ``FileExtent/Content/unreadable(_:)``.
    public func extents(
        of number: UInt64,
        in range: Range<UInt64>
    ) throws(DiskError) -> [FileExtent] {
        let node = try node(number)
        switch node.type {
        case .regular, .directory, .symbolicLink: break
        default: throw DiskError(.unsupported, node.name, at: node.offset, "has no content")
        }
        try refuseObstacle(node)
        return try extents(of: node, in: range)
    }

    /// Refuses what the guest has encrypted, and what fs-verity protects.
    func refuseObstacle(_ node: Ext4Node) throws(DiskError) {
        if node.flags.contains(.encrypted) {
            throw DiskError(.unsupported, node.name, at: node.offset, "is encrypted by the guest")
        }
        if node.flags.contains(.verity) {
            throw DiskError(
                .unsupported,
                node.name,
                at: node.offset,
                "is protected by fs-verity, which this reader does not verify"
            )
        }
    }

    /// Where `size` bytes stand if the whole block map is one extent in the inode, which was
    /// written and lies on the volume; nil in every other case, damage included.
    @inline(__always)
    func contiguousOffset(_ raw: RawSpan, size: UInt64) throws(DiskError) -> UInt64? {
        let flags = try fields.flags(raw)
        guard flags.contains(.extents), !flags.contains(.inlineData) else { return nil }
        let root = try raw.slice(at: Ext4Node.mapOffset, count: Ext4Node.mapByteCount)
        // Magic and a count of one; room for one to four; depth 0; the first block of the file.
        guard try root.u32(at: 0) == 0x0001_F30A, try 1...4 ~= root.u16(at: 4),
            try root.u16(at: 6) == 0, try root.u32(at: 12) == 0
        else { return nil }
        let length = UInt64(try root.u16(at: 16))
        let start = try UInt64(root.u16(at: 18)) << 32 | UInt64(root.u32(at: 20))
        guard length <= 0x8000, length << superblock.blockShift >= size,
            start > superblock.firstDataBlock, start + length <= superblock.blocksCount,
            (start + length) << superblock.blockShift <= volume.byteCount
        else { return nil }
        return start << superblock.blockShift
    }

    /// The extents of an inode that was already read; whatever type it is.
    func extents(of node: Ext4Node, in range: Range<UInt64>) throws(DiskError) -> [FileExtent] {
        let window = range.clamped(to: 0..<node.size)
        guard !window.isEmpty else { return [] }
        if node.flags.contains(.inlineData) { return try inlineExtents(node, window) }
        if node.type == .symbolicLink, hasFastTarget(node) {
            return try cut(Array(fastTarget(node)), window)
        }
        var builder = Ext4MapBuilder(window: window, superblock: superblock, volume: volume)
        if node.flags.contains(.extents) {
            Ext4ExtentTree(superblock: superblock, cache: cache, node: node).map(into: &builder)
        } else {
            Ext4IndirectBlocks(superblock: superblock, cache: cache, node: node)
                .map(into: &builder)
        }
        return builder.finish()
    }

    private func inlineExtents(
        _ node: Ext4Node,
        _ window: Range<UInt64>
    ) throws(DiskError) -> [FileExtent] {
        let bytes = try inlineData(of: node)
        let rest =
            max(
                window.lowerBound,
                UInt64(bytes.count)
            )..<max(window.upperBound, UInt64(bytes.count))
        var extents = try cut(bytes, window.clamped(to: 0..<UInt64(bytes.count)))
        guard !rest.isEmpty else { return extents }
        // Linux reads zeros past what is kept (fs/ext4/inline.c, ext4_readpage_inline); without the
        // attribute, though, it is not known that nothing was there.
        var content = FileExtent.Content.hole
        if try inlineAttribute(of: node) == nil {
            content = .unreadable(
                DiskError(
                    .inconsistent,
                    node.name,
                    at: node.offset,
                    "keeps \(bytes.count) bytes inline of the \(node.size) that it claims"
                )
            )
        }
        extents.append(
            FileExtent(fileOffset: rest.lowerBound, length: UInt64(rest.count), content: content)
        )
        return extents
    }

    /// The window of `bytes` as one extent; empty where they end before it.
    private func cut(
        _ bytes: [UInt8],
        _ window: Range<UInt64>
    ) throws(DiskError) -> [FileExtent] {
        let there = window.clamped(to: 0..<UInt64(bytes.count))
        guard !there.isEmpty else { return [] }
        let part = Array(bytes[Int(there.lowerBound)..<Int(there.upperBound)])
        let length = UInt64(part.count)
        return [FileExtent(fileOffset: there.lowerBound, length: length, content: .inline(part))]
    }

    /// The bytes that an inode with inline_data keeps: 60 in the block map, and what the attribute
    /// `system.data` adds.
    func inlineData(of node: Ext4Node) throws(DiskError) -> [UInt8] {
        let span = node.bytes.span
        var data = try span.raw.array(at: Ext4Node.mapOffset, count: Ext4Node.mapByteCount)
        if node.size > UInt64(Ext4Node.mapByteCount), let more = try inlineAttribute(of: node) {
            data += more
        }
        return Array(data.prefix(Int(min(node.size, UInt64(data.count)))))
    }

    /// The target of a symbolic link, as it stands on the disk.
    public func linkTarget(of number: UInt64) throws(DiskError) -> [UInt8] {
        let node = try node(number)
        guard node.type == .symbolicLink else {
            throw DiskError(.inconsistent, node.name, at: node.offset, "is no symbolic link")
        }
        try refuseObstacle(node)
        guard node.size > 0, node.size <= UInt64(superblock.blockSize) else {
            throw DiskError(
                .outOfRange,
                node.name,
                at: node.offset + 4,
                "a symbolic link to a path of \(node.size) bytes"
            )
        }
        let target = try content(of: node)
        guard !target.contains(0) else {
            throw DiskError(
                .inconsistent,
                node.name,
                at: node.offset,
                "its target contains a zero byte"
            )
        }
        return target
    }

    /// All bytes of a small file, whose size the caller has checked.
    func content(of node: Ext4Node) throws(DiskError) -> [UInt8] {
        let extents = try extents(of: node, in: 0..<node.size)
        let source = ExtentsSource(volume: volume, extents: extents, byteCount: node.size)
        return try source.bytes(at: 0, count: Int(node.size))
    }

    /// Whether a link's target stands in the block map itself.
    private func hasFastTarget(_ node: Ext4Node) -> Bool {
        guard node.size < UInt64(Ext4Node.mapByteCount) else { return false }
        let isTree =
            node.bytes[Ext4Node.mapOffset] == 0x0A
            && node.bytes[Ext4Node.mapOffset + 1] == 0xF3
        return !(node.flags.contains(.extents) && isTree)
    }

    private func fastTarget(_ node: Ext4Node) -> ArraySlice<UInt8> {
        node.bytes[Ext4Node.mapOffset...].prefix(Int(node.size))
    }
}
