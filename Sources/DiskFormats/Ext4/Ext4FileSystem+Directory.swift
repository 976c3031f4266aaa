extension Ext4FileSystem {
    /// The names in a directory, without `.` and `..`, in the order of the disk.
    ///
    /// A damaged block costs the names from the damage to its end, one whose checksum does not
    /// match all its names; both are among the problems. An encrypted directory has no names to
    /// give, and is a problem itself.
    public func entries(
        of directory: UInt64,
        heldBytesMax: Int
    ) throws(DiskError) -> DirectoryListing {
        let node = try directoryNode(directory)
        var listing = DirectoryListing()
        do throws(DiskError) { try refuseObstacle(node) } catch {
            listing.problems.append(error)
            return listing
        }
        var room = heldBytesMax
        try forEachBlock(of: node, problems: &listing.problems) { (raw, place, problems) in
            do throws(DiskError) {
                try collect(raw, into: &listing.entries, &room)
            } catch {
                problems.append(error.within("\(node.name) directory block", at: place))
            }
            guard room < 0 else { return true }
            let count = listing.entries.count
            problems.append(
                DiskError(
                    .unsupported,
                    node.name,
                    at: place,
                    "has more names than may be held in memory; only \(count) are listed"
                )
            )
            return false
        }
        return listing
    }

    /// A directory's inode.
    func directoryNode(_ number: UInt64) throws(DiskError) -> Ext4Node {
        let node = try node(number)
        guard node.type == .directory else {
            throw DiskError(.inconsistent, node.name, at: node.offset, "is no directory")
        }
        return node
    }

    /// Adds the entries of a block while there is room for them; no room is left where it is negative.
    private func collect(
        _ raw: RawSpan,
        into entries: inout [DirectoryEntry],
        _ room: inout Int
    ) throws(DiskError) {
        let format = Ext4DirectoryBlock(superblock: superblock)
        var at = 0
        while at < raw.byteCount {
            guard let entry = try format.next(raw, &at) else { continue }
            let name = try raw.slice(at: entry.nameOffset, count: entry.nameLength)
            switch try Self.kind(of: name) {
            case .ordinary:
                room -= DirectoryEntry.heldBytes(nameLength: entry.nameLength)
                guard room >= 0 else { return }
                entries.append(
                    DirectoryEntry(name: name.array, inode: entry.inode, type: entry.type)
                )
            case .dots: continue
            case .impossible:
                throw DiskError(
                    .outOfRange,
                    "",
                    at: UInt64(entry.nameOffset),
                    "a name with a slash or a zero byte in it"
                )
            }
        }
    }

    private enum NameKind { case ordinary, dots, impossible }

    private static func kind(of name: RawSpan) throws(DiskError) -> NameKind {
        var dots = 0
        for index in 0..<name.byteCount {
            let byte = try name.u8(at: index)
            if byte == 0x2F || byte == 0 { return .impossible }
            if byte == 0x2E { dots += 1 }
        }
        return dots == name.byteCount && dots <= 2 ? .dots : .ordinary
    }

    /// Calls `body` with the verified bytes that hold entries, block after block, until it returns
    /// false.
    ///
    /// What cannot be read is added to `problems`.
    func forEachBlock(
        of node: Ext4Node,
        problems: inout [DiskError],
        _ body: (RawSpan, UInt64, inout [DiskError]) -> Bool
    ) throws(DiskError) {
        if node.flags.contains(.inlineData) {
            return try forEachInlinePart(of: node, problems: &problems, body)
        }
        var walk = DirectoryWalk(node: node, blockSize: UInt64(superblock.blockSize))
        while let window = walk.nextWindow() {
            for extent in try extents(of: node, in: window) {
                switch extent.content {
                case .volume(let offset):
                    let more = visit(extent, offset, &walk, &problems, body)
                    guard more else { return }
                case .unreadable(let error): problems.append(error)
                case .hole, .unwritten, .inline:
                    problems.append(
                        DiskError(
                            .inconsistent,
                            node.name,
                            at: node.offset,
                            "the directory has no block for its bytes "
                                + "\(extent.fileOffset)..<\(extent.fileOffset + extent.length)"
                        )
                    )
                }
            }
            guard problems.count <= DirectoryWalk.problemsMax else { return }
        }
    }

    /// Visits the blocks of one extent; false where the walk is over.
    private func visit(
        _ extent: FileExtent,
        _ offset: UInt64,
        _ walk: inout DirectoryWalk,
        _ problems: inout [DiskError],
        _ body: (RawSpan, UInt64, inout [DiskError]) -> Bool
    ) -> Bool {
        let size = UInt64(superblock.blockSize)
        var done: UInt64 = 0
        while done < extent.length {
            let place = offset + done
            let isFirst = extent.fileOffset + done == 0
            done += size
            guard walk.visited < DirectoryWalk.blocksMax else {
                problems.append(
                    DiskError(
                        .unsupported,
                        walk.node.name,
                        at: place,
                        "the directory has more than \(DirectoryWalk.blocksMax) blocks; the rest is "
                            + "not read"
                    )
                )
                return false
            }
            guard walk.isNew(place) else {
                problems.append(
                    DiskError(
                        .inconsistent,
                        walk.node.name,
                        at: place,
                        "the directory uses this block more than once"
                    )
                )
                return false
            }
            do throws(DiskError) {
                let more = try withDirectoryBlock(walk.node, at: place, isFirst: isFirst) {
                    body($0, place, &problems)
                }
                guard more else { return false }
            } catch {
                problems.append(error)
                guard problems.count <= DirectoryWalk.problemsMax else { return false }
            }
        }
        return true
    }

    /// Calls `body` with the part of a directory block that holds entries, once verified.
    func withDirectoryBlock<Result>(
        _ node: Ext4Node,
        at place: UInt64,
        isFirst: Bool,
        _ body: (RawSpan) throws(DiskError) -> Result
    ) throws(DiskError) -> Result {
        do throws(DiskError) {
            return try cache.withBytes(at: place, count: superblock.blockSize) {
                (raw) throws(DiskError) in
                let end = try Ext4DirectoryBlock(superblock: superblock).verify(
                    raw,
                    seed: node.checksumSeed,
                    isIndexed: isIndexed(node),
                    isFirst: isFirst
                )
                return try body(raw.slice(at: 0, count: end))
            }
        } catch {
            throw error.structure.isEmpty
                ? error.within("\(node.name) directory block", at: place) : error
        }
    }

    /// Directories kept in their inode: four bytes for `..`, then entries; more of them in the
    /// attribute `system.data`.
    private func forEachInlinePart(
        of node: Ext4Node,
        problems: inout [DiskError],
        _ body: (RawSpan, UInt64, inout [DiskError]) -> Bool
    ) throws(DiskError) {
        let data = try inlineData(of: node)
        let span = data.span
        let place = node.offset + UInt64(Ext4Node.mapOffset)
        if UInt64(data.count) < node.size {
            problems.append(
                DiskError(
                    .inconsistent,
                    node.name,
                    at: node.offset,
                    "\(data.count) bytes in the inode, but the directory has \(node.size)"
                )
            )
        }
        let split = min(data.count, Ext4Node.mapByteCount)
        guard split > 4 else { return }
        guard body(try span.raw.slice(at: 4, count: split - 4), place + 4, &problems) else {
            return
        }
        guard data.count > split else { return }
        // The place of the second part is not that exact: it is somewhere in this inode.
        let rest = try span.raw.slice(at: split, count: data.count - split)
        _ = body(rest, node.offset, &problems)
    }
}

/// Keeps a walk over a directory's blocks within bounds.
struct DirectoryWalk {
    let node: Ext4Node
    private let blockSize: UInt64
    private var next: UInt64 = 0
    private var seen: Set<UInt64> = []

    /// How many blocks were visited.
    var visited: Int { seen.count }

    /// More than a directory of any use has, such as 8 GiB of blocks of 4 KiB; each is remembered.
    static let blocksMax = 2 << 20
    /// One hopeless directory must not fill a report.
    static let problemsMax = 1000
    private static let windowBlocks: UInt64 = 4096

    init(node: Ext4Node, blockSize: UInt64) {
        self.node = node
        self.blockSize = blockSize
    }

    /// The next range of the directory to look at.
    mutating func nextWindow() -> Range<UInt64>? {
        guard next < node.size else { return nil }
        let end = min(node.size, next + Self.windowBlocks * blockSize)
        defer { next = end }
        return next..<end
    }

    /// False where the block was visited before, which only a damaged block map brings about.
    mutating func isNew(_ place: UInt64) -> Bool {
        guard node.size > blockSize else { return true }
        return seen.insert(place).inserted
    }
}
