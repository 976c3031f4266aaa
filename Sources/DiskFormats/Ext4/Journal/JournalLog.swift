/// The walk through a jbd2 log from its oldest transaction to its end.
///
/// It decides what is committed exactly where Linux' `fs/jbd2/recovery.c` does, and collects which
/// copies of blocks and which revoke records the committed transactions hold. The kernel walks
/// three times (scan, revoke, replay) because it keeps nothing; one walk suffices here.
struct JournalLog {
    /// A copy of a block of the file system, in the log.
    struct Copy {
        let block: UInt64
        let journalBlock: UInt32
        let sequence: UInt32
        let checksum: UInt32
        let isEscaped: Bool
        /// Set where the copy cannot be read, or its content does not match ``checksum``.
        var isDamaged = false
    }

    /// A revoke block and the transaction that it belongs to.
    struct Revoke {
        let journalBlock: UInt32
        let sequence: UInt32
    }

    let journal: any BlockSource
    let superblock: JournalSuperblock

    /// The copies in committed transactions, in the order of the log.
    private(set) var copies: [Copy] = []
    /// The revoke blocks in committed transactions, in the order of the log.
    private(set) var revokes: [Revoke] = []
    private(set) var problems: [DiskError] = []
    /// How many transactions are committed.
    private(set) var transactions = 0

    /// The block that comes next.
    private var position: UInt32
    /// The transaction that comes next, or that we are in; numbers wrap.
    private var sequence: UInt32
    /// How far we have come from the start, in blocks; never more than the log has.
    private var distance: UInt64 = 0
    /// Set between the first block of a transaction and its commit block.
    private var isWithinTransaction = false
    private var committedCopies = 0
    private var committedRevokes = 0
    /// The transaction at which an asynchronous commit failed; later ones are only looked at.
    private var failed: UInt32?
    /// A descriptor or revoke block had a bad checksum: the next commit block's time decides.
    private var hasBadBlock = false
    private var lastCommitTime: UInt64 = 0
    private var transactionChecksum = CRC32BigEndian()

    /// The most blocks that are walked through; 16 GiB where a block has 4 KiB.
    ///
    /// mke2fs makes journals of 1 GiB by default. This bounds time and memory on hostile disks.
    static let blocksMax: UInt64 = 1 << 22

    /// Walks through the log of `journal`.
    init(_ journal: any BlockSource, _ superblock: JournalSuperblock) throws(DiskError) {
        self.journal = journal
        self.superblock = superblock
        position = superblock.start
        sequence = superblock.sequence
        guard superblock.start != 0 else { return }
        while try step() {}
        copies.removeLast(copies.count - committedCopies)
        revokes.removeLast(revokes.count - committedRevokes)
    }

    /// The transaction after the last that is committed.
    var endSequence: UInt32 { superblock.sequence &+ UInt32(truncatingIfNeeded: transactions) }

    /// The bytes of block `number` of the journal.
    func block(_ number: UInt32) throws(DiskError) -> [UInt8] {
        try journal.bytes(at: offset(number), count: superblock.blockSize)
    }

    private func offset(_ number: UInt32) -> UInt64 {
        UInt64(number) * UInt64(superblock.blockSize)
    }

    /// Takes the next block; false where it is not part of the log any more.
    private mutating func step() throws(DiskError) -> Bool {
        let number = position
        guard try advance(by: 1) else { return false }
        let bytes = try block(number)
        let span = bytes.span
        guard let header = try JournalHeader(span.raw), header.sequence == sequence else {
            return false
        }
        isWithinTransaction = header.kind != .commit
        do {
            switch header.kind {
            case .descriptor: return try takeDescriptor(span.raw)
            case .commit: return try takeCommit(span.raw, number)
            case .revoke: return try takeRevoke(span.raw, number)
            case nil: return false
            }
        } catch {
            throw error.within("jbd2 transaction \(sequence)", at: offset(number))
        }
    }

    /// Moves on by `count` blocks, from the end of the log to its beginning.
    ///
    /// False where that would lead past the start again: the log ends before it bites its tail.
    private mutating func advance(by count: Int) throws(DiskError) -> Bool {
        distance += UInt64(count)
        guard distance <= UInt64(superblock.end - superblock.first) else {
            // A log that is full to its last block ends here, too.
            if isWithinTransaction { problems.append(endless) }
            return false
        }
        guard distance <= Self.blocksMax else {
            throw DiskError(
                .unsupported,
                "jbd2 log",
                at: offset(position),
                "more than \(Self.blocksMax) blocks are waiting in it"
            )
        }
        // Cannot overflow nor need a second lap: distance is at most the length of the log.
        let next = UInt64(position) + UInt64(count)
        let wrapped =
            next < superblock.end ? next : next - UInt64(superblock.end - superblock.first)
        position = UInt32(truncatingIfNeeded: wrapped)
        return true
    }

    private var endless: DiskError {
        DiskError(
            .inconsistent,
            "jbd2 transaction \(sequence)",
            at: offset(position),
            "longer than the whole log; taken as never committed"
        )
    }

    private mutating func takeDescriptor(_ block: RawSpan) throws(DiskError) -> Bool {
        if try !superblock.verifiesTail(of: block) { hasBadBlock = true }
        let tags = try superblock.tags(of: block)
        let sums = superblock.checksums == .transaction && failed == nil
        if sums { try transactionChecksum.add(block) }
        for tag in tags {
            let number = position
            guard try advance(by: 1) else { return false }
            if sums {
                let data = try self.block(number)
                let span = data.span
                try transactionChecksum.add(span.raw)
            }
            guard failed == nil else { continue }
            copies.append(
                Copy(
                    block: tag.block,
                    journalBlock: number,
                    sequence: sequence,
                    checksum: tag.checksum,
                    isEscaped: tag.isEscaped
                )
            )
        }
        return true
    }

    private mutating func takeRevoke(_ block: RawSpan, _ number: UInt32) throws(DiskError) -> Bool {
        if try !superblock.verifiesTail(of: block) { hasBadBlock = true }
        if failed == nil { revokes.append(Revoke(journalBlock: number, sequence: sequence)) }
        return true
    }

    /// Decides at a commit block whether its transaction counts, and whether the log goes on.
    private mutating func takeCommit(_ block: RawSpan, _ number: UInt32) throws(DiskError) -> Bool {
        let time = try block.be(UInt64.self, at: 48)
        if hasBadBlock {
            // An older time means that we have run into what an earlier lap left behind.
            guard time >= lastCommitTime else { return false }
            throw DiskError(
                .badChecksum,
                "",
                "a descriptor or revoke block of this committed transaction is damaged; "
                    + "the journal cannot be replayed"
            )
        }
        if superblock.checksums == .transaction, let failed {
            // A commit after a failed one: that one was no interrupted write, but damage.
            problems.append(failure(failed, number))
            return false
        }
        if try verifies(commit: block) {
            if failed == nil { countCommitted() }
        } else {
            guard time >= lastCommitTime else { return false }
            if failed == nil { failed = sequence }
            guard superblock.commitsAsynchronously else {
                problems.append(failure(sequence, number))
                return false
            }
        }
        lastCommitTime = time
        sequence &+= 1
        return true
    }

    private mutating func countCommitted() {
        transactions += 1
        committedCopies = copies.count
        committedRevokes = revokes.count
        transactionChecksum = CRC32BigEndian()
    }

    private func verifies(commit block: RawSpan) throws(DiskError) -> Bool {
        guard superblock.checksums == .transaction else {
            return try superblock.verifiesCommit(block)
        }
        let type = try block.u8(at: 12)
        let size = try block.u8(at: 13)
        let stored = try block.be(UInt32.self, at: 16)
        if type == 0, size == 0, stored == 0 { return true }  // written without a checksum
        return type == 1 && size == 4 && stored == transactionChecksum.value
    }

    private func failure(_ sequence: UInt32, _ number: UInt32) -> DiskError {
        DiskError(
            .badChecksum,
            "jbd2 transaction \(sequence)",
            at: offset(number),
            "its commit block does not match; this and all later transactions were left out"
        )
    }
}
