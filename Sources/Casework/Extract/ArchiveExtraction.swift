internal import ArchiveFile
internal import DiskFormats
internal import Linux

/// Writes planned files as one pax archive.
///
/// One thread walks the tree, some read and encode, and the calling one writes, in order. What is
/// counted in the report has been written.
struct ArchiveExtraction {
    private let extraction: Extraction
    private let cancellation: CancellationFlag
    private let observer: (any ArchiveObserver)?
    private let show: (Extraction.Progress) -> Void

    /// Encoding costs a few microseconds a file: three threads keep a pipe busy with small files.
    private static let workers = 3

    init(
        _ extraction: Extraction,
        _ cancellation: CancellationFlag,
        observer: (any ArchiveObserver)? = nil,
        _ show: @escaping (Extraction.Progress) -> Void
    ) {
        self.extraction = extraction
        self.cancellation = cancellation
        self.observer = observer
        self.show = show
    }

    /// Writes the archive to `output`.
    func run(into output: FileDescriptor) -> ExtractionReport {
        var report = ExtractionReport()
        do throws(ArchiveError) {
            _ = try EncoderBox()
        } catch {
            report.ending = .failed(.archive(error))
            return report
        }
        output.widenPipe(to: 1 << 20)
        let isObserved = observer != nil
        // The observer has kept all of them.
        if isObserved { report.notesMax = 1_000 }
        // What is moved from file to pipe passes nobody's eyes.
        let isPipe = !isObserved && (try? output.status())?.kind == .fifo
        let pipeline = ArchivePipeline(isObserved: isObserved)
        let observation = observer.map { ArchiveObservation($0, pipeline) }
        let (extraction, cancellation) = (extraction, cancellation)
        let reachedLimit = Monitor(false)
        let producer = WorkerThread {
            let limited = Self.produce(extraction, cancellation, pipeline, isObserved)
            reachedLimit.update { $0 = limited }
        }
        let workers = (0..<Self.workers).map { _ in
            WorkerThread {
                ArchiveWorker.run(
                    extraction,
                    cancellation,
                    pipeline,
                    isPipe: isPipe,
                    isObserved: isObserved
                )
            }
        }
        let written = write(pipeline, to: output, observation, &report)
        pipeline.stop()
        producer.join()
        for worker in workers { worker.join() }
        observation?.finish()
        if report.ending == .finished, let problem = observation?.problem {
            report.ending = .failed(.system(problem))
        }
        if report.ending == .finished, cancellation.isSet { report.ending = .cancelled }
        guard report.ending == .finished else { return report }
        report.archive = observation?.archive(zeros: ArchiveEncoder.endOfArchive(after: written))
        end(output, after: written, &report)
        if report.ending == .finished, reachedLimit.update({ $0 }) { report.ending = .limited }
        return report
    }

    private static func produce(
        _ extraction: Extraction,
        _ cancellation: CancellationFlag,
        _ pipeline: ArchivePipeline,
        _ isObserved: Bool
    ) -> Bool {
        defer { pipeline.close() }
        guard let encoder = try? EncoderBox() else { return false }
        let plan = ArchivePlan(extraction, pipeline, encoder, isObserved: isObserved)
        var planner = ExtractionPlanner(extraction, cancellation) { plan.add($0) }
        planner.run()
        return planner.reachedLimit
    }

    /// Writes piece after piece; returns how many bytes were written.
    private func write(
        _ pipeline: ArchivePipeline,
        to output: FileDescriptor,
        _ observation: ArchiveObservation?,
        _ report: inout ExtractionReport
    ) -> UInt64 {
        var progress = ProgressGate(show)
        var written: UInt64 = 0
        while let piece = pipeline.next() {
            if cancellation.isSet || observation?.problem != nil { break }
            if let failure = piece.failure {
                report.ending = .failed(failure)
                break
            }
            do throws(SystemError) {
                let lost = try ArchiveOutput(output, cancellation).write(piece)
                if let latest = piece.latest { report.add(lost, latest, extraction) }
            } catch {
                report.ending = error.isClosedPipe ? .outputClosed : .failed(.system(error))
                break
            }
            written += piece.moves.reduce(UInt64(piece.buffer.count)) { $0 + $1.count }
            report.add(piece)
            let files = piece.files + piece.directories + piece.other
            if let latest = piece.latest {
                progress.add(files: files, bytes: piece.bytes) {
                    extraction.guestPath(latest.path, root: latest.root)
                }
            }
            guard let observation else {
                pipeline.recycle(piece.buffer)
                continue
            }
            observation.add(piece)
        }
        progress.finish()
        return written
    }

    /// Writes the blocks that end an archive: only a whole one gets them.
    private func end(
        _ output: FileDescriptor,
        after written: UInt64,
        _ report: inout ExtractionReport
    ) {
        do throws(SystemError) {
            let zeros = ArchiveEncoder.endOfArchive(after: written)
            try output.write([UInt8](repeating: 0, count: zeros))
        } catch {
            report.ending = error.isClosedPipe ? .outputClosed : .failed(.system(error))
        }
    }
}

extension ExtractionReport {
    /// Reports what a layer's file failed to give.
    fileprivate mutating func add(
        _ losses: [ArchiveOutput.Loss],
        _ item: PlannedItem,
        _ extraction: Extraction
    ) {
        guard !losses.isEmpty else { return }
        let path = extraction.guestPath(item.path, root: item.root)
        for loss in losses { add(.problem(path, .system(loss.error), loss.range)) }
        add(.partial(path))
    }

    fileprivate mutating func add(_ piece: ArchivePiece) {
        files += piece.files
        directories += piece.directories
        other += piece.other
        bytes += piece.bytes
        for note in piece.notes { add(note) }
    }
}
