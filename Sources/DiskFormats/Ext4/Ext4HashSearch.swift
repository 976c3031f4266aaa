/// Finds a name in a hashed directory by its index, reading one block of each level.
///
/// Any contradiction in the index throws, upon which the caller looks through all blocks instead.
struct Ext4HashSearch {
    let fileSystem: Ext4FileSystem
    let node: Ext4Node
    let name: [UInt8]
    private let target: UInt32
    private let levels: Int
    /// Equal hashes may run over many blocks; a hostile index must not make that endless.
    private var blocksLeft = 256

    /// Nil where the directory's hash cannot be computed.
    init?(_ fileSystem: Ext4FileSystem, _ node: Ext4Node, _ name: [UInt8]) throws(DiskError) {
        self.fileSystem = fileSystem
        self.node = node
        self.name = name
        let superblock = fileSystem.superblock
        let place = try Self.place(of: 0, fileSystem, node)
        let (code, depth) = try fileSystem.withDirectoryBlock(node, at: place, isFirst: true) {
            (raw) throws(DiskError) in (try raw.u8(at: 28), try raw.u8(at: 30))
        }
        guard let hash = Ext4NameHash(code: code, unsigned: superblock.hashIsUnsigned) else {
            return nil
        }
        guard depth <= 3 else {
            throw DiskError(.outOfRange, node.name, at: place + 30, "an index of \(depth) levels")
        }
        levels = Int(depth)
        target = hash.hash(name, seed: superblock.hashSeed)
    }

    /// The inode that the name leads to, or nil where there is no such name.
    mutating func find() throws(DiskError) -> UInt64? {
        try find(in: 0, level: levels, isFirst: true)
    }

    private mutating func find(
        in block: UInt64,
        level: Int,
        isFirst: Bool
    ) throws(DiskError) -> UInt64? {
        let children = try candidates(in: block, isFirst: isFirst)
        for child in children {
            blocksLeft -= 1
            guard blocksLeft > 0 else {
                throw DiskError(
                    .inconsistent,
                    node.name,
                    at: node.offset,
                    "its index has too many blocks of one hash"
                )
            }
            let found =
                level == 0
                ? try search(leaf: child)
                : try find(in: child, level: level - 1, isFirst: false)
            if let found { return found }
        }
        return nil
    }

    /// The blocks that may lead to the hash: the last one that begins no later, and those after it
    /// that begin with the same hash.
    private func candidates(in block: UInt64, isFirst: Bool) throws(DiskError) -> [UInt64] {
        let place = try Self.place(of: block, fileSystem, node)
        let format = Ext4DirectoryBlock(superblock: fileSystem.superblock)
        return try fileSystem.withDirectoryBlock(node, at: place, isFirst: isFirst) {
            (raw) throws(DiskError) in
            guard let index = try Ext4HashBlock(raw, format, isFirst: isFirst) else {
                throw DiskError(.inconsistent, "", at: 0, "an index block was expected here")
            }
            var low = 1
            var high = index.count
            while low < high {
                let middle = (low + high) / 2
                if try index.entry(raw, middle).hash <= target {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            var blocks = [try index.entry(raw, low - 1).block]
            // With equal hashes the later entries have their lowest bit set.
            while low < index.count, try index.entry(raw, low).hash & ~1 == target {
                blocks.append(try index.entry(raw, low).block)
                low += 1
            }
            return blocks
        }
    }

    private func search(leaf block: UInt64) throws(DiskError) -> UInt64? {
        let place = try Self.place(of: block, fileSystem, node)
        return try fileSystem.withDirectoryBlock(node, at: place, isFirst: false) {
            (raw) throws(DiskError) in try fileSystem.find(name, in: raw)
        }
    }

    /// The byte on the volume where a block of the directory begins.
    private static func place(
        of block: UInt64,
        _ fileSystem: Ext4FileSystem,
        _ node: Ext4Node
    ) throws(DiskError) -> UInt64 {
        let size = UInt64(fileSystem.superblock.blockSize)
        let start = block * size
        let extent = try fileSystem.extents(of: node, in: start..<(start + size)).first
        switch extent?.content {
        case .volume(let offset) where extent?.fileOffset == start: return offset
        case .unreadable(let error): throw error
        default:
            throw DiskError(
                .inconsistent,
                node.name,
                at: node.offset,
                "the directory has no block \(block)"
            )
        }
    }
}
