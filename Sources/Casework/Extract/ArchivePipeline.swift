internal import DiskFormats
internal import Linux

/// A part of an archive that is still to be made.
struct ArchiveJob: Sendable {
    enum Work: Sendable {
        /// Whole entries, headers and content: a part of a batch, which is not copied for it.
        case entries(ArraySlice<PlannedItem>)
        /// A part of a long file: what stands before it, ranges without gaps, zeros after it.
        case content(PlannedItem, header: [UInt8], [FileExtent], padding: Int, ContentPart)
    }

    /// What is to be made; nil where there are only notes.
    var work: Work?
    /// Remarks that go into the report once everything before it is written.
    var notes: [Note] = []
}

/// A part of an archive that is made.
struct ArchivePiece: Sendable {
    let buffer: TransferBuffer
    /// What goes out after the first so many bytes of ``buffer``, from the file of a layer.
    var moves: [Move] = []
    var files = 0
    var directories = 0
    var other = 0
    var bytes: UInt64 = 0
    var notes: [Note] = []
    /// What the whole entries in it hold; only where somebody observes the archive.
    var records: [ArchiveRecord] = []
    /// Which part of a long file it is, if it is one.
    var part: ContentPart?
    /// A range of a layer's file that needs no copy.
    struct Move: Sendable {
        let position: Int
        /// Where it stands in the guest's file.
        let fileOffset: UInt64
        let file: FileDescriptor
        let offset: UInt64
        let count: UInt64
    }

    /// The latest path in it.
    var latest: PlannedItem?
    /// Set where nothing more can be made.
    var failure: ExtractionReport.Failure?
}

/// Carries jobs to several workers and their pieces, in the order of the jobs, to one writer.
///
/// At most `depth` jobs are under way, each with a buffer that is used again: that bounds memory.
/// More may wait, so that there is work while the walk reads ahead in a large directory.
final class ArchivePipeline: Sendable {
    private let depth: Int
    private static let waitingMax = 32
    private let monitor = Monitor(State())

    /// Begins; an archive that is observed needs more buffers, since each is used by more threads.
    init(isObserved: Bool = false) { depth = isObserved ? 12 : 8 }

    private struct State: Sendable {
        var jobs: [Int: ArchiveJob] = [:]
        var pieces: [Int: ArchivePiece] = [:]
        var buffers: [TransferBuffer] = []
        var pushed = 0
        var taken = 0
        var handedOut = 0
        var recycled = 0
        var isClosed = false
        var isStopped = false
    }

    /// Hands over a job; waits while too many do.
    ///
    /// Returns false once the pipeline is stopped.
    func push(_ job: ArchiveJob) -> Bool {
        monitor.wait { state -> Bool? in
            if state.isStopped { return false }
            guard state.pushed - state.taken < Self.waitingMax else { return nil }
            state.jobs[state.pushed] = job
            state.pushed += 1
            return true
        }
    }

    /// Says that no job follows.
    func close() { monitor.update { $0.isClosed = true } }

    /// Ends everything: what is not written yet is dropped.
    func stop() { monitor.update { $0.isStopped = true } }

    /// The next job with its number and an empty buffer; nil at the end.
    func take() -> (number: Int, job: ArchiveJob, buffer: TransferBuffer)? {
        monitor.wait { state -> (number: Int, job: ArchiveJob, buffer: TransferBuffer)?? in
            if state.isStopped { return .some(nil) }
            if state.taken - state.recycled >= depth { return nil }
            if let job = state.jobs.removeValue(forKey: state.taken) {
                let buffer = state.buffers.popLast() ?? TransferBuffer(capacity: 2 << 20)
                buffer.removeAll()
                state.taken += 1
                return .some((state.taken - 1, job, buffer))
            }
            return state.isClosed ? .some(nil) : nil
        }
    }

    /// Hands over what a job became.
    func put(_ piece: ArchivePiece, number: Int) {
        monitor.update { $0.pieces[number] = piece }
    }

    /// The next piece in order; nil at the end.
    func next() -> ArchivePiece? {
        monitor.wait { state -> ArchivePiece?? in
            if state.isStopped { return .some(nil) }
            if let piece = state.pieces.removeValue(forKey: state.handedOut) {
                state.handedOut += 1
                return .some(piece)
            }
            return state.isClosed && state.handedOut == state.pushed ? .some(nil) : nil
        }
    }

    /// Gives back the buffer of a piece that nobody needs any more.
    func recycle(_ buffer: TransferBuffer) {
        monitor.update {
            $0.buffers.append(buffer)
            $0.recycled += 1
        }
    }
}
