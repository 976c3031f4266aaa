/// The fast-commit area behind the log, where ext4 notes small changes between full commits.
///
/// These are not copies of blocks but records such as "inode 12 got this extent", which this
/// reader does not carry out. So a file system that has any which count is refused: without them
/// files that were synced would be missing.
///
/// Layout: Linux `fs/ext4/fast_commit.h`; unlike the rest of the journal little-endian.
enum FastCommits {
    /// Throws ``DiskError/Reason/unsupported`` where fast commits follow the last transaction.
    ///
    /// A fast commit that was begun and is not whole was never reported as done to the guest; it
    /// becomes one of `problems`.
    static func refuse(in log: JournalLog, problems: inout ProblemList) throws(DiskError) {
        guard log.superblock.hasFastCommits else { return }
        var reader = Reader(expected: log.endSequence)
        // The kernel leaves the first block of the area unused.
        var number = log.superblock.end + 1
        while number < log.superblock.length, reader.state == .reading {
            let bytes = try log.block(number)
            let span = bytes.span
            try reader.take(span.raw)
            number += 1
        }
        let place = UInt64(log.superblock.end + 1) * UInt64(log.superblock.blockSize)
        if reader.state == .whole {
            throw DiskError(
                .unsupported,
                "jbd2 fast commit",
                at: place,
                "fast commits after transaction \(log.endSequence &- 1) cannot be replayed here"
            )
        }
        if reader.hasBegun {
            problems.add(
                DiskError(
                    .inconsistent,
                    "jbd2 fast commit",
                    at: place,
                    "begun after transaction \(log.endSequence &- 1) and not whole; left out"
                )
            )
        }
    }

    /// Goes through the records of the area until it is clear whether one fast commit is whole.
    private struct Reader {
        enum State { case reading, whole, over }

        /// The transaction that the fast commits must follow: the one that was never committed.
        let expected: UInt32
        var state = State.reading
        var hasBegun = false
        var crc = CRC32C(seed: 0)

        mutating func take(_ block: RawSpan) throws(DiskError) {
            var offset = 0
            while state == .reading, offset + 4 <= block.byteCount {
                let tag = try block.u16(at: offset)
                let length = Int(try block.u16(at: offset + 2))
                let value = offset + 4
                switch tag {
                case 0x1...0x7 where hasBegun && value + length <= block.byteCount:
                    crc.add(try block.slice(at: offset, count: 4 + length))
                case 0x8 where hasBegun && value + 8 <= block.byteCount:
                    crc.add(try block.slice(at: offset, count: 8))
                    let sequence = try block.u32(at: value)
                    let stored = try block.u32(at: value + 4)
                    state = sequence == expected && stored == crc.value ? .whole : .over
                case 0x9 where !hasBegun && value + length <= block.byteCount && length >= 8:
                    guard try block.u32(at: value + 4) == expected else { return state = .over }
                    hasBegun = true
                    crc.add(try block.slice(at: offset, count: 4 + length))
                default:
                    state = .over
                }
                offset = value + length
            }
        }
    }
}
