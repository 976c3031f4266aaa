/// What to do with a journal that was not written back.
public enum JournalPolicy: Sendable {
    /// Replay it in memory, so that files read as they would after a mount.
    case replay
    /// Leave it out, and read what stands on the disk; the result may contradict itself.
    case ignore
}

/// An ext2, ext3 or ext4 file system, read natively.
///
/// Every checksum that the file system has is verified before what it guards is used. Features that
/// this reader does not know are refused by name. A lost superblock or group descriptor is replaced
/// by its backup, which ``FileSystemSummary/problems`` then says.
public final class Ext4FileSystem: FileSystem {
    /// The volume, with the replayed journal laid over it.
    public let volume: any BlockSource
    /// The root directory is always inode 2.
    public let rootInode: UInt64 = 2

    let superblock: Ext4Superblock
    let groups: Ext4Groups
    /// Inode tables, and apart from them all else, so that neither drives the other out.
    let inodeCache: BlockCache
    let cache: BlockCache
    let fields: Ext4InodeFields
    let openingProblems: [DiskError]
    let journalState: FileSystemSummary.JournalState
    let isUnsettled: Bool

    /// Opens the file system on `volume`.
    ///
    /// Throws ``DiskError/Reason/badMagic`` where neither the superblock nor a backup of it is
    /// found, and ``DiskError/Reason/unsupported`` naming the features that stand in the way.
    public convenience init(
        volume: any BlockSource,
        journal: JournalPolicy = .replay
    ) throws(DiskError) {
        let found = try Ext4Superblock.find(on: volume)
        let bare = Ext4FileSystem(volume, found)
        guard let opened = try bare.openJournal(journal, isBackup: found.isBackup) else {
            self.init(volume, found)
            return
        }
        // The replay may have brought a newer superblock, or repaired a damaged one.
        let after = try Ext4Superblock.find(on: opened.volume)
        self.init(opened.volume, after, opened.state, bare.groups.problems + opened.problems)
    }

    private init(
        _ volume: any BlockSource,
        _ found: Ext4Superblock.Found,
        _ journalState: FileSystemSummary.JournalState = .clean,
        _ problems: [DiskError] = []
    ) {
        self.volume = volume
        superblock = found.superblock
        inodeCache = BlockCache(volume, capacity: 640)
        cache = BlockCache(volume, capacity: 384)
        groups = Ext4Groups(found.superblock, cache)
        fields = Ext4InodeFields(superblock: found.superblock)
        openingProblems = found.problems + Self.sizeProblem(found.superblock, volume) + problems
        self.journalState = journalState
        isUnsettled = found.isBackup || journalState != .clean
    }

    private static func sizeProblem(
        _ superblock: Ext4Superblock,
        _ volume: any BlockSource
    ) -> [DiskError] {
        let size = superblock.blocksCount << superblock.blockShift
        guard size > volume.byteCount else { return [] }
        return [
            DiskError(
                .truncated,
                "ext4 file system",
                at: volume.byteCount,
                "it is \(size) bytes long, but the volume ends at \(volume.byteCount)"
            )
        ]
    }
}

extension Ext4FileSystem {
    /// Type, permissions, owner, times and size of an inode.
    ///
    /// Throws ``DiskError/Reason/badChecksum`` where its bytes are damaged, and
    /// ``DiskError/Reason/inconsistent`` where there is no such inode, or it is not in use.
    public func inode(_ number: UInt64) throws(DiskError) -> Inode {
        try withInode(number) { (raw, _, type) throws(DiskError) in
            var inode = try fields.inode(raw, number, type)
            if type == .regular, inode.obstacle == nil, inode.size > 0 {
                inode.contiguousOffset = try contiguousOffset(raw, size: inode.size)
            }
            return inode
        }
    }

    /// Calls `body` with the verified bytes of an inode, their place, and its type.
    @inline(__always)
    func withInode<Result>(
        _ number: UInt64,
        _ body: (RawSpan, UInt64, FileType) throws(DiskError) -> Result
    ) throws(DiskError) -> Result {
        let offset = try inodeOffset(number)
        do throws(DiskError) {
            return try inodeCache.withBytes(at: offset, count: superblock.inodeSize) {
                (raw) throws(DiskError) in
                try body(raw, offset, try verify(raw, number))
            }
        } catch {
            throw error.structure.isEmpty ? error.within("ext4 inode \(number)", at: offset) : error
        }
    }

    /// A copy of an inode, for what needs more of it than ``inode(_:)`` gives.
    func node(_ number: UInt64) throws(DiskError) -> Ext4Node {
        try withInode(number) { (raw, offset, _) throws(DiskError) in
            Ext4Node(
                number: number,
                offset: offset,
                bytes: raw.array,
                mode: try raw.u16(at: 0),
                flags: try fields.flags(raw),
                size: try fields.size(raw),
                checksumSeed: try inodeSeed(raw, number).value
            )
        }
    }

    /// The byte on the volume where inode `number` begins.
    @inline(__always)
    private func inodeOffset(_ number: UInt64) throws(DiskError) -> UInt64 {
        guard number > 0, number <= superblock.inodesCount else {
            throw DiskError(
                .inconsistent,
                "ext4 inode \(number)",
                "there are only inodes 1 to \(superblock.inodesCount)"
            )
        }
        let (group, index) = (number - 1).quotientAndRemainder(
            dividingBy: superblock.inodesPerGroup
        )
        let table = try groups.inodeTable(of: group)
        return table << superblock.blockShift + index * UInt64(superblock.inodeSize)
    }

    /// Checks checksum, type, use and size; gives the type.
    @inline(__always)
    private func verify(_ raw: RawSpan, _ number: UInt64) throws(DiskError) -> FileType {
        let mode = try raw.u16(at: 0)
        guard mode != 0 else {
            throw DiskError(.inconsistent, "", at: 0, "is not in use (mode 0)")
        }
        if superblock.features.hasMetadataChecksums { try verifyChecksum(raw, number) }
        guard let type = FileType(mode: mode) else {
            throw DiskError(
                .outOfRange,
                "",
                at: 0,
                "mode 0x\(String(mode, radix: 16)) names no file type"
            )
        }
        guard try raw.u16(at: 0x1A) != 0 else {
            throw DiskError(.inconsistent, "", at: 0x1A, "is deleted (no links)")
        }
        let size = try fields.size(raw)
        guard size <= sizeMax(try fields.flags(raw)) else {
            throw DiskError(.outOfRange, "", at: 0x04, "size \(size) is more than can be mapped")
        }
        return type
    }

    private func verifyChecksum(_ raw: RawSpan, _ number: UInt64) throws(DiskError) {
        var sum = try inodeSeed(raw, number)
        sum.add(try raw.slice(at: 0, count: 0x7C))
        sum.add(UInt16(0))
        let low = UInt32(try raw.u16(at: 0x7C))
        guard raw.byteCount > 128 else {
            sum.add(try raw.slice(at: 0x7E, count: 2))
            return try match(sum.value & 0xFFFF, low)
        }
        // The upper half exists where the extra fields reach over it.
        guard try raw.u16(at: 0x80) >= 4 else {
            sum.add(try raw.slice(at: 0x7E, count: raw.byteCount - 0x7E))
            return try match(sum.value & 0xFFFF, low)
        }
        sum.add(try raw.slice(at: 0x7E, count: 4))
        sum.add(UInt16(0))
        sum.add(try raw.slice(at: 0x84, count: raw.byteCount - 0x84))
        try match(sum.value, low | UInt32(raw.u16(at: 0x82)) << 16)
    }

    private func match(_ computed: UInt32, _ recorded: UInt32) throws(DiskError) {
        guard computed == recorded else {
            throw DiskError(.badChecksum, "", at: 0x7C, "its checksum does not match")
        }
    }

    @inline(__always)
    private func inodeSeed(_ raw: RawSpan, _ number: UInt64) throws(DiskError) -> CRC32C {
        var sum = CRC32C(seed: superblock.checksumSeed)
        sum.add(UInt32(truncatingIfNeeded: number))
        sum.add(try raw.u32(at: 0x64))
        return sum
    }

    /// The largest size that the inode's kind of block map can express.
    private func sizeMax(_ flags: Ext4Node.Flags) -> UInt64 {
        if flags.contains(.extents) { return (1 << 32) << superblock.blockShift }
        let pointers = UInt64(superblock.blockSize / 4)
        let blocks = 12 + pointers + pointers * pointers + pointers * pointers * pointers
        return blocks << superblock.blockShift
    }
}
