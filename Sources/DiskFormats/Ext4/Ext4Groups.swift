internal import Synchronization

/// Where each group's inode table begins, as the group descriptors say.
///
/// A descriptor is read and checked when its group is first asked for. Where the primary copy is
/// damaged a backup is taken, which ``problems`` then says. Layout: Linux
/// `Documentation/filesystems/ext4/group_descr.rst`.
final class Ext4Groups: Sendable {
    private let superblock: Ext4Superblock
    private let cache: BlockCache
    private let state: Mutex<State>

    private struct State {
        /// First block of each group's inode table; 0 where it has not been read.
        var tables: [UInt64]
        var problems: [DiskError] = []
    }

    /// More groups than any real file system has are looked up anew each time.
    private static let remembered: UInt64 = 1 << 20
    /// One damaged descriptor block must not fill a report.
    private static let problemsMax = 64

    init(_ superblock: Ext4Superblock, _ cache: BlockCache) {
        self.superblock = superblock
        self.cache = cache
        let count = Int(min(superblock.groupCount, Self.remembered))
        state = Mutex(State(tables: [UInt64](repeating: 0, count: count)))
    }

    /// Descriptors that were damaged and had to be taken from a backup, as far as was read.
    var problems: [DiskError] { state.withLock { $0.problems } }

    /// The first block of the inode table of `group`, which must exist.
    @inline(__always)
    func inodeTable(of group: UInt64) throws(DiskError) -> UInt64 {
        let known = state.withLock {
            group < UInt64($0.tables.count) ? $0.tables[Int(group)] : 0
        }
        return known != 0 ? known : try loadTable(of: group)
    }

    private func loadTable(of group: UInt64) throws(DiskError) -> UInt64 {
        let descriptor = try descriptor(of: group)
        let table = descriptor.inodeTable
        state.withLock { if group < UInt64($0.tables.count) { $0.tables[Int(group)] = table } }
        return table
    }

    /// What a group descriptor says, as far as reading needs it.
    struct Descriptor {
        let inodeTable: UInt64
        let freeClusters: UInt64
        let freeInodes: UInt64
    }

    /// The first valid copy of the descriptor of `group`.
    func descriptor(of group: UInt64) throws(DiskError) -> Descriptor {
        let places = places(of: group)
        var first: DiskError?
        for place in places {
            do throws(DiskError) {
                let descriptor = try read(group, at: place)
                if let first { report(first, backup: place) }
                return descriptor
            } catch {
                if first == nil { first = error }
            }
        }
        throw first ?? DiskError(.inconsistent, "ext4 group descriptor \(group)", "has no place")
    }

    private func report(_ error: DiskError, backup: UInt64) {
        let problem = DiskError(
            error.reason,
            error.structure,
            at: error.offset,
            "\(error.detail); the backup at byte \(backup) was used instead"
        )
        state.withLock {
            guard $0.problems.count < Self.problemsMax, !$0.problems.contains(problem) else {
                return
            }
            $0.problems.append(problem)
        }
    }

    private func read(_ group: UInt64, at place: UInt64) throws(DiskError) -> Descriptor {
        do throws(DiskError) {
            return try cache.withBytes(at: place, count: superblock.descriptorSize) {
                (raw) throws(DiskError) in try parse(raw, group)
            }
        } catch {
            throw error.within("ext4 group descriptor \(group)", at: place)
        }
    }

    private func parse(_ raw: RawSpan, _ group: UInt64) throws(DiskError) -> Descriptor {
        let expected = try checksum(raw, group)
        if let expected, try raw.u16(at: 0x1E) != expected {
            throw DiskError(.badChecksum, "", at: 0x1E, "its checksum does not match")
        }
        let wide = superblock.descriptorSize >= 64
        let table = try Ext4Superblock.pair(raw, 0x08, wide ? 0x28 : nil)
        let (end, overflow) = table.addingReportingOverflow(superblock.inodeTableBlocks)
        guard !overflow, table > superblock.firstDataBlock, end <= superblock.blocksCount else {
            throw DiskError(
                .outOfRange,
                "",
                at: 0x08,
                "inode table at block \(table), of \(superblock.blocksCount) blocks"
            )
        }
        let clusters = try UInt64(raw.u16(at: 0x0C)) | (wide ? UInt64(raw.u16(at: 0x2C)) << 16 : 0)
        let inodes = try UInt64(raw.u16(at: 0x0E)) | (wide ? UInt64(raw.u16(at: 0x2E)) << 16 : 0)
        return Descriptor(inodeTable: table, freeClusters: clusters, freeInodes: inodes)
    }

    private func checksum(_ raw: RawSpan, _ group: UInt64) throws(DiskError) -> UInt16? {
        let number = UInt32(truncatingIfNeeded: group)
        if superblock.features.hasMetadataChecksums {
            var sum = CRC32C(seed: superblock.checksumSeed)
            sum.add(number)
            sum.add(try raw.slice(at: 0, count: 0x1E))
            sum.add(UInt16(0))
            sum.add(try raw.slice(at: 0x20, count: raw.byteCount - 0x20))
            return UInt16(truncatingIfNeeded: sum.value)
        }
        guard superblock.features.hasDescriptorChecksums else { return nil }
        var sum = CRC16()
        superblock.uuid.forEach { sum.add($0) }
        (0..<4).forEach { sum.add(UInt8(truncatingIfNeeded: number >> (8 * UInt32($0)))) }
        for index in 0..<raw.byteCount where index != 0x1E && index != 0x1F {
            sum.add(try raw.u8(at: index))
        }
        return sum.value
    }

    /// Byte offsets of all copies of a descriptor, the primary first.
    private func places(of group: UInt64) -> [UInt64] {
        let perBlock = superblock.descriptorsPerBlock
        let index = group / perBlock
        let within = group % perBlock * UInt64(superblock.descriptorSize)
        let first = index * perBlock
        let inMetaGroup =
            superblock.features.has(.metaBlockGroups) && index >= superblock.firstMetaBlockGroup
        let blocks: [UInt64]
        if inMetaGroup {
            let holders = [first, first + 1, first + perBlock - 1]
            blocks = holders.filter { $0 < superblock.groupCount }.map { afterSuperblock(in: $0) }
        } else {
            let backups = backupGroups(8)
            blocks = ([0] + backups).map { afterSuperblock(in: $0) + index }
        }
        return blocks.map { ($0 << superblock.blockShift) + within }
    }

    /// The first block of a group that does not belong to the superblock.
    private func afterSuperblock(in group: UInt64) -> UInt64 {
        // The primary stands at byte 1024, which with 1 KiB blocks is block 1 even where the first
        // data block is 0, as it is with bigalloc.
        if group == 0 { return superblock.blockSize == 1024 ? 2 : 1 }
        return superblock.firstBlock(of: group) + (superblock.hasSuperblock(group) ? 1 : 0)
    }

    private func backupGroups(_ count: Int) -> [UInt64] {
        if superblock.features.hasTwoBackups {
            return superblock.backupGroups.filter { $0 > 0 && $0 < superblock.groupCount }
        }
        let early = min(superblock.groupCount, 64)
        return Array((1..<max(1, early)).filter { superblock.hasSuperblock($0) }.prefix(count))
    }
}

/// CRC-16 (polynomial 0x8005, reflected) as uninit_bg guards group descriptors with.
struct CRC16 {
    private(set) var value: UInt16 = ~0

    mutating func add(_ byte: UInt8) {
        value ^= UInt16(byte)
        for _ in 0..<8 { value = (value >> 1) ^ (value & 1 == 1 ? 0xA001 : 0) }
    }
}
