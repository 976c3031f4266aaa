internal import Digests
internal import DiskFormats
internal import JSON
internal import Linux

/// Writes `files.jsonl` while the archive is written, and sums up for the report.
///
/// Called on one thread at a time; holds no more than the bounded tree of ``TakenTree``.
final class BagRecords: ArchiveObserver, @unchecked Sendable {
    // The observation calls from one thread, and the owner reads after it has ended: that is the
    // reason for `@unchecked`.
    private let extraction: Extraction
    private var output: HashedOutput
    private var remarks: HashedOutput
    private let remarksFile: FileDescriptor
    private let file: FileDescriptor
    private var json = JSONText()
    /// What was taken, summed up.
    private(set) var tree = TakenTree()
    /// How many entries there are.
    private(set) var count: UInt64 = 0
    /// Files with ranges missing.
    private(set) var partial: UInt64 = 0
    /// How much was left out on purpose, by reason.
    private(set) var skipped: [ExtractionReport.Reason: UInt64] = [:]
    /// How many remarks there are on what could not be read.
    private(set) var problems: UInt64 = 0

    /// Writes to `file`; remarks wait in `remarks` until all records are there.
    init(_ extraction: Extraction, to file: FileDescriptor, remarks: FileDescriptor) {
        self.extraction = extraction
        self.file = file
        self.remarksFile = remarks
        self.output = HashedOutput(file)
        self.remarks = HashedOutput(remarks)
    }

    func add(_ record: ArchiveRecord) throws(SystemError) {
        let root = record.item.root
        let place = FileRecord.Place(
            guestPath: extraction.guestPath(record.item.path, root: root),
            volume: extraction.roots[root].volume,
            volumePath: extraction.volumePath(record.item.path, root: root)
        )
        FileRecord.write(record, at: place, to: &json)
        try output.write(json.bytes)
        json.removeAll()
        count += 1
        let isPartial = record.content?.missing.ranges.isEmpty == false
        if isPartial { partial += 1 }
        tree.add(record, isPartial: isPartial)
    }

    func add(_ note: Note) throws(SystemError) {
        switch note {
        case .skipped(_, let reason): skipped[reason, default: 0] += 1
        case .problem: problems += 1
        case .partial: return
        }
        FileRecord.write(note, to: &json)
        try remarks.write(json.bytes)
        json.removeAll()
    }

    /// Lets the remarks follow the records; digest and length of the whole.
    func finish() throws(SystemError) -> (digest: Digest, byteCount: UInt64) {
        try remarks.flush()
        var done: UInt64 = 0
        while done < remarks.byteCount {
            let count = Int(min(remarks.byteCount - done, 1 << 18))
            var piece = [UInt8](repeating: 0, count: count)
            guard try remarksFile.read(into: &piece, at: done) == count else {
                throw SystemError(call: "pread", path: remarksFile.path, errno: 5)
            }
            try output.write(piece)
            done += UInt64(count)
        }
        try output.flush()
        return (output.digest, output.byteCount)
    }
}
