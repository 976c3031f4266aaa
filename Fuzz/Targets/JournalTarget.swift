internal import DiskFormats

/// How the journal target reads the journal.
struct JournalSwitches: OptionSet {
    let rawValue: UInt8
    /// Take the checksums' features out of the superblock, so that mutations get past them.
    static let withoutChecksums = JournalSwitches(rawValue: 1)
    /// Blocks of 4 KiB instead of 1 KiB.
    static let largeBlocks = JournalSwitches(rawValue: 2)
}

/// Scans the image as a journal, and reads the volume that its replay gives.
func fuzzJournal(_ image: PackedImage, _ switches: JournalSwitches) {
    var journal = image
    if switches.contains(.withoutChecksums) {
        let checksumsOfCommits: UInt32 = 1 << 24
        let checksumVersions: UInt32 = (8 | 16) << 24
        // Big-endian words: the low byte comes last.
        journal.clear(checksumsOfCommits, at: 0x24)
        journal.clear(checksumVersions, at: 0x28)
    }
    let blockSize = switches.contains(.largeBlocks) ? 4096 : 1024
    let blocks: UInt64 = 16_384
    let size = blocks * UInt64(blockSize) / 512
    let volume = PackedImage([0, 8, 16, 24].map { UInt8(truncatingIfNeeded: size >> $0) }[...])
    let replay = try? JournalReplay.scan(
        journal: journal,
        volume: volume,
        fileSystemBlockSize: blockSize
    )
    guard let replay else { return }
    precondition(replay.volume.byteCount == volume.byteCount)
    precondition(replay.problems.count <= 128)
    readRuns(of: replay.volume, from: 0, answers: 256)
    // Across the edges of blocks.
    for block in stride(from: UInt64(0), to: 256, by: 3) {
        _ = try? replay.volume.bytes(at: block * UInt64(blockSize) + 100, count: 2 * blockSize)
    }
}
