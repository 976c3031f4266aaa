/// What replaying a jbd2 journal would change, found without writing anything.
///
/// The file system's superblock says whether its journal is to be replayed at all: where its
/// `needs_recovery` feature is not set, the kernel discards what the journal holds. After a replay
/// the superblock and the group descriptors must be read again, from ``volume``: they mostly are
/// among the replaced blocks.
///
/// The kernel goes on after its replay to the list of orphans: inodes that were open while
/// unlinked, or in the middle of being truncated. It frees the former, which no name leads to; the
/// latter it truncates to the size that they already state. So names, sizes and contents here are
/// those that the kernel shows; what differs is space: free blocks and inodes, and the allocated
/// bytes of a file that was being truncated, still count what the orphans hold. (A file on the
/// list may also lose blocks past its size that were preallocated.)
///
/// Semantics: Linux `fs/jbd2/recovery.c`.
package struct JournalReplay: Sendable {
    /// How many committed transactions the journal holds; zero where there is nothing to replay.
    package let transactions: Int
    /// How many blocks of the file system they replace.
    package let blocks: Int
    /// What is wrong with the journal without having prevented the replay; at most 64 entries.
    ///
    /// Offsets in them count from the beginning of the journal file.
    package let problems: [DiskError]
    /// The volume as the replay leaves it, or the volume itself where nothing was replaced.
    package let volume: any BlockSource

    /// Reads the journal and finds the newest committed copy of each block that is not revoked.
    ///
    /// `journal` is the content of the journal file, read from `volume` as it is on the disk.
    /// Contents of blocks are read on demand later; memory here is about 40 bytes for each block
    /// that waits in the journal.
    ///
    /// Throws where the kernel would refuse to mount because the journal is damaged, and
    /// ``DiskError/Reason/unsupported`` where it holds fast commits or uses an unknown feature.
    /// A copy with a bad checksum does not throw: see ``ReplayedVolume``.
    package static func scan(
        journal: any BlockSource,
        volume: any BlockSource,
        fileSystemBlockSize: Int
    ) throws(DiskError) -> JournalReplay {
        let superblock = try JournalSuperblock(journal, fileSystemBlockSize: fileSystemBlockSize)
        let log = try JournalLog(journal, superblock)
        var problems = ProblemList()
        if superblock.errorNumber != 0 {
            problems.add(
                DiskError(
                    .inconsistent,
                    "jbd2 superblock",
                    at: 0x20,
                    "the guest's kernel gave the journal up with error \(superblock.errorNumber)"
                )
            )
        }
        log.problems.forEach { problems.add($0) }
        if superblock.start != 0 {
            try FastCommits.refuse(in: log, problems: &problems)
        }
        let transactions = log.transactions
        let table = try ReplacementTable(log, volume: volume, problems: &problems)
        let isNoChange = table.replacements.isEmpty
        return JournalReplay(
            transactions: transactions,
            blocks: table.replacements.count,
            problems: problems.entries,
            volume: isNoChange
                ? volume
                : ReplayedVolume(
                    volume,
                    journal: journal,
                    blockSize: fileSystemBlockSize,
                    replacements: table.replacements
                )
        )
    }
}

/// A list of problems that a hostile disk cannot make long.
struct ProblemList {
    private(set) var entries: [DiskError] = []
    static let countMax = 64

    /// Adds `problem` unless the list is full.
    mutating func add(_ problem: DiskError) {
        if entries.count < Self.countMax { entries.append(problem) }
    }
}
