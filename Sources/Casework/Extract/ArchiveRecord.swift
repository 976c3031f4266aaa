internal import ArchiveFile
internal import Digests
internal import DiskFormats
internal import Linux

/// What one entry of an archive holds, for those who keep a record of it.
struct ArchiveRecord: Sendable {
    /// The file, as it was planned.
    let item: PlannedItem
    /// Its attributes, as the entry has them.
    let attributes: [ArchiveEntry.Attribute]
    /// Of a file, its content.
    var content: Content?

    /// The content of a file as it stands in the archive.
    struct Content: Sendable {
        /// The digest, holes as zeros, or where `isDataOnly` is set of the stored ranges alone.
        let digest: Digest
        /// Whether there are too many holes to hash them.
        let isDataOnly: Bool
        /// What could not be read; holes or zeros stand for it.
        let missing: MissingRanges
    }

    init(_ item: PlannedItem, _ entry: ArchiveEntry) {
        self.item = item
        self.attributes = entry.attributes
    }
}

/// Ranges of a file that could not be read, in ascending order, in bounded memory.
struct MissingRanges: Sendable {
    private(set) var ranges: [Range<UInt64>] = []

    /// How many are kept apart; the last one grows over what comes after it.
    static let countMax = 4_096

    /// Nothing is missing.
    init() {}

    /// Adds ranges that come after the others, or lie among them where a map was read before.
    mutating func add(_ more: some Sequence<Range<UInt64>>) {
        var all = ranges
        all += more
        guard all.count > ranges.count else { return }
        all.sort { $0.lowerBound < $1.lowerBound }
        ranges.removeAll(keepingCapacity: true)
        for range in all {
            guard let last = ranges.last,
                range.lowerBound <= last.upperBound || ranges.count == Self.countMax
            else {
                ranges.append(range)
                continue
            }
            let end = max(last.upperBound, range.upperBound)
            ranges[ranges.count - 1] = last.lowerBound..<end
        }
    }
}

/// Takes the digest of a file from the bytes that an archive stores of it.
struct ContentDigest: Sendable {
    private let ranges: [Range<UInt64>]
    private let size: UInt64
    private var hash = SHA256()
    private var index = 0
    /// Where in the file the next stored byte belongs.
    private var position: UInt64 = 0
    /// Whether only stored ranges are hashed.
    let isDataOnly: Bool

    /// Hashing zeros takes half a second a GiB; a file may claim to be a million of them.
    static let holesMax: UInt64 = 16 << 30

    /// Begins a file of `size` bytes of which `ranges`, in order, are stored.
    init(size: UInt64, ranges: [Range<UInt64>]) {
        self.size = size
        self.ranges = ranges
        let stored = ranges.reduce(UInt64(0)) { $0 + ($1.upperBound - $1.lowerBound) }
        isDataOnly = size - min(size, stored) > Self.holesMax
    }

    /// Takes the next stored bytes.
    mutating func add(_ bytes: RawSpan) {
        var done = 0
        while done < bytes.byteCount, index < ranges.count {
            let range = ranges[index]
            if position < range.lowerBound { skip(to: range.lowerBound) }
            let rest = Int(clamping: range.upperBound - position)
            let count = min(bytes.byteCount - done, rest)
            hash.update(bytes.extracting(done..<(done + count)))
            done += count
            position += UInt64(count)
            if position >= range.upperBound { index += 1 }
        }
    }

    private mutating func skip(to offset: UInt64) {
        if !isDataOnly { hash.update(zeros: offset - position) }
        position = offset
    }

    /// The content, once everything that is stored has been added.
    mutating func content(missing: MissingRanges) -> ArchiveRecord.Content {
        if position < size { skip(to: size) }
        return ArchiveRecord.Content(digest: hash.digest, isDataOnly: isDataOnly, missing: missing)
    }
}

/// A part of a long file in a piece of an archive: what its record needs.
struct ContentPart: Sendable {
    /// Set in the first part: what the record says, and which ranges are stored.
    var start: Start?
    /// Where in the buffer of the piece the content stands.
    var bytes = 0..<0
    /// What turned out to be unreadable.
    var missing: [Range<UInt64>] = []
    /// Whether the file ends here.
    let isLast: Bool

    /// How the record of a long file begins.
    struct Start: Sendable {
        let record: ArchiveRecord
        let ranges: [Range<UInt64>]
        let missing: MissingRanges
    }
}

/// Is told what an archive holds while it is written, entry by entry in its order, on one thread.
protocol ArchiveObserver: AnyObject, Sendable {
    /// Keeps a record; an error ends the extraction.
    func add(_ record: ArchiveRecord) throws(SystemError)
    /// Keeps a remark on what is left out or could not be read; an error ends the extraction.
    func add(_ note: Note) throws(SystemError)
}
