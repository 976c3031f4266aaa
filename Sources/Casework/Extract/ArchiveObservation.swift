internal import Digests
internal import DiskFormats
internal import Linux

/// Takes the digest of an archive, and records of its entries, on two threads beside the writer.
///
/// Hashing costs about as much as writing into the page cache; the content of long files is hashed
/// once more, by the second thread. Pieces pass from one to the next and then back to the pipeline.
final class ArchiveObservation {
    private let hashing = PieceQueue()
    private let recording = PieceQueue()
    private let result = Monitor<(digest: SHA256, byteCount: UInt64)>((SHA256(), 0))
    private let failure = Monitor<SystemError?>(nil)
    private var threads: [WorkerThread] = []

    /// Begins to observe what `pipeline` carries.
    init(_ observer: any ArchiveObserver, _ pipeline: ArchivePipeline) {
        let (hashing, recording, result, failure) = (hashing, recording, result, failure)
        let hash = WorkerThread {
            var hash = SHA256()
            var count: UInt64 = 0
            while let piece = hashing.next() {
                piece.buffer.withBytes(0..<piece.buffer.count) { hash.update($0) }
                count += UInt64(piece.buffer.count)
                recording.put(piece)
            }
            recording.close()
            result.update { [hash, count] in $0 = (hash, count) }
        }
        let record = WorkerThread {
            var recorder = PieceRecorder(observer)
            while let piece = recording.next() {
                do throws(SystemError) { try recorder.add(piece) } catch {
                    failure.update { $0 = $0 ?? error }
                }
                pipeline.recycle(piece.buffer)
            }
        }
        threads = [hash, record]
    }

    /// Hands over a piece that is written; it goes back to the pipeline by itself.
    func add(_ piece: ArchivePiece) { hashing.put(piece) }

    /// Why the observer cannot go on, if that is so.
    var problem: SystemError? { failure.update { $0 } }

    /// Waits until everything is hashed and recorded.
    func finish() {
        hashing.close()
        for thread in threads { thread.join() }
    }

    /// Digest and length of the archive, with that many zeros at its end; after ``finish()``.
    func archive(zeros: Int) -> (digest: Digest, byteCount: UInt64) {
        var (hash, count) = result.update { $0 }
        hash.update(zeros: UInt64(zeros))
        count += UInt64(zeros)
        return (hash.digest, count)
    }
}

/// Pieces on their way from one thread to another; the pipeline's buffers bound how many there are.
private final class PieceQueue: Sendable {
    private let monitor = Monitor((pieces: [ArchivePiece](), isClosed: false))

    func put(_ piece: ArchivePiece) { monitor.update { $0.pieces.append(piece) } }

    func close() { monitor.update { $0.isClosed = true } }

    /// The next one; nil at the end.
    func next() -> ArchivePiece? {
        monitor.wait { state -> ArchivePiece?? in
            if !state.pieces.isEmpty { return state.pieces.removeFirst() }
            return state.isClosed ? .some(nil) : nil
        }
    }
}

/// Turns pieces into records; of a long file there is one when its last part has come.
private struct PieceRecorder {
    private let observer: any ArchiveObserver
    private var open: (record: ArchiveRecord, digest: ContentDigest, missing: MissingRanges)?

    init(_ observer: any ArchiveObserver) { self.observer = observer }

    mutating func add(_ piece: ArchivePiece) throws(SystemError) {
        for record in piece.records { try observer.add(record) }
        if let part = piece.part { try add(part, of: piece.buffer) }
        for note in piece.notes { try observer.add(note) }
    }

    private mutating func add(
        _ part: ContentPart,
        of buffer: TransferBuffer
    ) throws(SystemError) {
        if let start = part.start {
            let digest = ContentDigest(size: start.record.item.inode.size, ranges: start.ranges)
            open = (start.record, digest, start.missing)
        }
        guard var (record, digest, missing) = open else { return }
        open = nil
        buffer.withBytes(part.bytes) { digest.add($0) }
        missing.add(part.missing)
        guard part.isLast else {
            open = (record, digest, missing)
            return
        }
        record.content = digest.content(missing: missing)
        try observer.add(record)
    }
}
