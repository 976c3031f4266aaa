/// Which block of the journal replaces which block of the file system.
struct ReplacementTable {
    /// In ascending order of the blocks of the file system, each of which occurs once.
    let replacements: [ReplayedVolume.Replacement]

    /// The most revoke records that are looked at.
    ///
    /// Each costs a binary search; this bounds time on hostile disks. Deleting 40 TiB in a file
    /// system without extents makes as many.
    static let revokesMax = 1 << 25

    /// Chooses among the committed copies of `log`.
    init(
        _ log: consuming JournalLog,
        volume: any BlockSource,
        problems: inout ProblemList
    ) throws(DiskError) {
        var copies = log.copies
        let order = LogOrder(log.superblock)
        copies.sort {
            $0.block != $1.block
                ? $0.block < $1.block : order[$0.journalBlock] < order[$1.journalBlock]
        }
        Self.keepLast(&copies)
        try Self.dropRevoked(&copies, log)
        let size = UInt64(log.superblock.blockSize)
        let blockCount = volume.byteCount / size + (volume.byteCount % size == 0 ? 0 : 1)
        while let last = copies.last, last.block >= blockCount {
            problems.add(
                DiskError(
                    .outOfRange,
                    "jbd2 transaction \(last.sequence)",
                    at: UInt64(last.journalBlock) * size,
                    "a copy of block \(last.block) of a volume of \(blockCount)"
                )
            )
            copies.removeLast()
        }
        Self.markDamaged(&copies, log, &problems)
        replacements = copies.map {
            ReplayedVolume.Replacement(
                block: $0.block,
                journalBlock: $0.journalBlock,
                content: $0.isDamaged ? .damaged : $0.isEscaped ? .escaped : .plain
            )
        }
    }

    /// Leaves the newest copy of each block, which is the last of its group.
    private static func keepLast(_ copies: inout [JournalLog.Copy]) {
        var kept = 0
        for index in copies.indices {
            let isLast = index + 1 == copies.count || copies[index + 1].block != copies[index].block
            guard isLast else { continue }
            copies[kept] = copies[index]
            kept += 1
        }
        copies.removeLast(copies.count - kept)
    }

    /// Takes out each copy of a transaction in which, or after which, its block was revoked.
    ///
    /// Where the newest copy of a block is revoked, so are all older ones.
    private static func dropRevoked(
        _ copies: inout [JournalLog.Copy],
        _ log: JournalLog
    ) throws(DiskError) {
        guard !copies.isEmpty, !log.revokes.isEmpty else { return }
        var isRevoked = [Bool](repeating: false, count: copies.count)
        var seen = 0
        for revoke in log.revokes {
            let bytes = try log.block(revoke.journalBlock)
            let span = bytes.span
            do {
                try log.superblock.forEachRevoked(by: span.raw) { (block) throws(DiskError) in
                    seen += 1
                    guard let index = Self.index(of: block, in: copies) else { return }
                    // Transaction numbers wrap, so they are compared as a signed difference.
                    let age = Int32(bitPattern: revoke.sequence &- copies[index].sequence)
                    if age >= 0 { isRevoked[index] = true }
                }
            } catch {
                throw error.within(
                    "jbd2 revoke block",
                    at: UInt64(revoke.journalBlock) * UInt64(log.superblock.blockSize)
                )
            }
            guard seen <= revokesMax else {
                throw DiskError(.unsupported, "jbd2 log", "more than \(revokesMax) revoke records")
            }
        }
        var kept = 0
        for index in copies.indices where !isRevoked[index] {
            copies[kept] = copies[index]
            kept += 1
        }
        copies.removeLast(copies.count - kept)
    }

    private static func index(of block: UInt64, in copies: [JournalLog.Copy]) -> Int? {
        var low = 0
        var high = copies.count
        while low < high {
            let middle = (low + high) / 2
            if copies[middle].block < block { low = middle + 1 } else { high = middle }
        }
        return low < copies.count && copies[low].block == block ? low : nil
    }

    /// Compares each copy with the checksum of its tag, in the order of the journal.
    private static func markDamaged(
        _ copies: inout [JournalLog.Copy],
        _ log: JournalLog,
        _ problems: inout ProblemList
    ) {
        guard log.superblock.checksums.inEachBlock else { return }
        copies.sort { $0.journalBlock < $1.journalBlock }
        let size = log.superblock.blockSize
        for index in copies.indices {
            let copy = copies[index]
            guard let reason = reasonAgainst(copy, log) else { continue }
            copies[index].isDamaged = true
            problems.add(
                DiskError(
                    reason,
                    "jbd2 transaction \(copy.sequence)",
                    at: UInt64(copy.journalBlock) * UInt64(size),
                    "the copy of block \(copy.block) is damaged; reading that block fails"
                )
            )
        }
        copies.sort { $0.block < $1.block }
    }

    /// Why `copy` cannot be used, or nil where it is as its checksum says.
    private static func reasonAgainst(
        _ copy: JournalLog.Copy,
        _ log: JournalLog
    ) -> DiskError.Reason? {
        do throws(DiskError) {
            let data = try log.block(copy.journalBlock)
            let span = data.span
            let isRight = log.superblock.verifies(
                data: span.raw,
                checksum: copy.checksum,
                sequence: copy.sequence
            )
            return isRight ? nil : .badChecksum
        } catch {
            return error.reason
        }
    }
}

/// How far a block of the log is from the start of the log, across its end.
private struct LogOrder {
    let start: UInt32
    let length: UInt32

    init(_ superblock: JournalSuperblock) {
        start = superblock.start
        length = superblock.end - superblock.first
    }

    subscript(_ journalBlock: UInt32) -> UInt32 {
        journalBlock >= start ? journalBlock - start : journalBlock + (length - start)
    }
}
