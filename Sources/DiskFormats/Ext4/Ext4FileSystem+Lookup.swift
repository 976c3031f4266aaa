extension Ext4FileSystem {
    /// The inode that `name` leads to in `directory`, or nil where there is no such name.
    ///
    /// In directories with casefold an exact match is preferred; otherwise the letters A to Z match
    /// their small forms. Nothing else is folded: not the other letters of Unicode, and not
    /// different compositions of one character. Where a part of the directory is damaged and the
    /// rest has no such name, the damage is thrown, since the name may have stood there.
    public func lookup(
        _ name: [UInt8],
        in directory: UInt64
    ) throws(DiskError) -> UInt64? {
        let node = try directoryNode(directory)
        try refuseObstacle(node)
        guard !name.isEmpty, name.count <= 255 else { return nil }
        // A few blocks are searched as quickly as an index is.
        if isIndexed(node), node.size > 4 * UInt64(superblock.blockSize), !folds(node),
            name != [0x2E], name != [0x2E, 0x2E]
        {
            do throws(DiskError) {
                if var search = try Ext4HashSearch(self, node, name) { return try search.find() }
            } catch {
                return try lookupLinearly(name, in: node)
            }
        }
        return try lookupLinearly(name, in: node)
    }

    /// Whether names are to be found by the index of the directory.
    func isIndexed(_ node: Ext4Node) -> Bool {
        superblock.features.hasDirectoryIndex && node.flags.contains(.indexed)
    }

    private func folds(_ node: Ext4Node) -> Bool {
        superblock.features.has(.caseFold) && node.flags.contains(.caseFold)
    }

    /// Looks through all blocks.
    func lookupLinearly(_ name: [UInt8], in node: Ext4Node) throws(DiskError) -> UInt64? {
        let folds = folds(node)
        var problems: [DiskError] = []
        var exact: UInt64?
        var folded: UInt64?
        try forEachBlock(of: node, problems: &problems) { (raw, place, problems) in
            do throws(DiskError) {
                exact = try find(name, in: raw)
                if exact == nil, folds, folded == nil {
                    folded = try find(name, in: raw, folding: true)
                }
            } catch {
                problems.append(error.within("\(node.name) directory block", at: place))
            }
            return exact == nil
        }
        if let found = exact ?? folded { return found }
        if let problem = problems.first { throw problem }
        return nil
    }

    /// Looks through one block.
    func find(
        _ name: [UInt8],
        in raw: RawSpan,
        folding: Bool = false
    ) throws(DiskError) -> UInt64? {
        let format = Ext4DirectoryBlock(superblock: superblock)
        let wanted = name.span
        var at = 0
        while at < raw.byteCount {
            guard let entry = try format.next(raw, &at), entry.nameLength == name.count else {
                continue
            }
            let bytes = try raw.slice(at: entry.nameOffset, count: entry.nameLength)
            if try Self.isSame(bytes, wanted, folding) { return entry.inode }
        }
        return nil
    }

    private static func isSame(
        _ bytes: RawSpan,
        _ name: Span<UInt8>,
        _ folding: Bool
    ) throws(DiskError) -> Bool {
        for index in 0..<name.count {
            let byte = try bytes.u8(at: index)
            if byte == name[index] { continue }
            guard folding, lowered(byte) == lowered(name[index]) else { return false }
        }
        return true
    }

    private static func lowered(_ byte: UInt8) -> UInt8 {
        byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
    }
}
