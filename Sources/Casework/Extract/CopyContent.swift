package import DiskFormats
package import Linux

/// What became of the content of one file.
package struct CopyReport: Sendable {
    /// Bytes that were written, holes as the zeros that they read as.
    package fileprivate(set) var bytes: UInt64 = 0
    /// The range that could not be read, where the copy ended for that.
    package fileprivate(set) var problems: [ExtractionReport.Problem] = []
    /// How it ended.
    package fileprivate(set) var ending = ExtractionReport.Ending.finished
}

/// Writes the content of a file to a descriptor, as `cat` does.
///
/// Bytes that stand in the file of a layer as they are go from `layers` into a pipe without being
/// copied; `layers` are the descriptors of ``BlockRun/Origin/file(layer:offset:)``, and may be empty.
/// It ends before the first byte that cannot be read, and reports the range with its exact place: in
/// a pipe nothing could tell zeros that stand for lost bytes from the guest's own.
package func copyContent(
    of file: UInt64,
    in fileSystem: any FileSystem,
    path: [UInt8],
    to output: FileDescriptor,
    layers: [FileDescriptor] = [],
    cancellation: CancellationFlag = CancellationFlag()
) -> CopyReport {
    FileDescriptor.withoutPipeSignal {
        let copy = ContentCopy(fileSystem, path, output, layers, cancellation)
        copy.run(file)
        return copy.report
    }
}

private final class ContentCopy {
    var report = CopyReport()
    private let fileSystem: any FileSystem
    private let volume: any BlockSource
    private let path: [UInt8]
    private let output: FileDescriptor
    private let layers: [FileDescriptor]
    private let cancellation: CancellationFlag
    private let reader: ContentReader
    private let buffer = TransferBuffer(capacity: 1 << 20)
    private var canSplice = false

    /// What is read and written at once: as much as a pipe holds, so that it stays in the cache.
    private static let pieceBytes: UInt64 = 1 << 18
    /// What is moved without copying at once; shorter runs are copied.
    private static let spliceMin: UInt64 = 1 << 15

    init(
        _ fileSystem: any FileSystem,
        _ path: [UInt8],
        _ output: FileDescriptor,
        _ layers: [FileDescriptor],
        _ cancellation: CancellationFlag
    ) {
        self.fileSystem = fileSystem
        self.volume = fileSystem.volume
        self.path = path
        self.output = output
        self.layers = layers
        self.cancellation = cancellation
        self.reader = ContentReader(volume)
    }

    func run(_ file: UInt64) {
        do throws(ExtractionReport.Failure) {
            let size = try disk { () throws(DiskError) in try fileSystem.inode(file).size }
            if (try? output.status())?.kind == .fifo {
                if size > Self.pieceBytes { output.widenPipe(to: 1 << 20) }
                canSplice = !layers.isEmpty
            }
            var windows = ExtentWindows(fileSystem, inode: file, from: 0, to: size)
            while let window = windows.next() {
                for extent in window where report.problems.isEmpty { try copy(extent) }
                guard report.problems.isEmpty else { break }
            }
        } catch {
            switch error {
            case .system(let system) where system.isClosedPipe: report.ending = .outputClosed
            default: report.ending = .failed(error)
            }
        }
        if report.ending == .finished, cancellation.isSet { report.ending = .cancelled }
    }

    private func disk<Value>(
        _ body: () throws(DiskError) -> Value
    ) throws(ExtractionReport.Failure) -> Value {
        do throws(DiskError) { return try body() } catch { throw .disk(error) }
    }

    private func copy(_ extent: FileExtent) throws(ExtractionReport.Failure) {
        var rest = extent
        while !cancellation.isSet {
            let moved = canSplice ? try splice(rest) : 0
            let end = rest.fileOffset + rest.length
            guard moved < rest.length else {
                return
            }
            let start = rest.fileOffset + moved
            let count = min(Self.pieceBytes, rest.length - moved)
            try write(rest.part(start..<(start + count)))
            guard start + count < end, report.problems.isEmpty else { return }
            rest = rest.part((start + count)..<end)
        }
    }

    /// Moves the beginning of `extent` into the pipe; returns how many bytes that was.
    private func splice(_ extent: FileExtent) throws(ExtractionReport.Failure) -> UInt64 {
        guard case .volume(let start) = extent.content else { return 0 }
        var done: UInt64 = 0
        while done < extent.length, canSplice, !cancellation.isSet {
            guard let run = try? volume.run(at: start &+ done, limit: extent.length - done),
                case .file(let layer, let offset) = run.origin, layers.indices.contains(layer),
                run.length >= Self.spliceMin
            else { return done }
            let moved = try splice(layers[layer], offset, count: run.length)
            report.bytes += moved
            done += moved
            if moved < run.length { return done }
        }
        return done
    }

    private func splice(
        _ layer: FileDescriptor,
        _ offset: UInt64,
        count: UInt64
    ) throws(ExtractionReport.Failure) -> UInt64 {
        var done: UInt64 = 0
        do throws(SystemError) {
            while done < count, !cancellation.isSet {
                let limit = Int(min(count - done, 1 << 20))
                guard let moved = try output.splice(from: layer, at: offset + done, count: limit)
                else {
                    canSplice = false
                    break
                }
                if moved == 0 { break }
                done += UInt64(moved)
            }
        } catch {
            // A layer that cannot be read is met again, and reported, by the ordinary way.
            if error.isClosedPipe { throw .system(error) }
            canSplice = false
        }
        return done
    }

    private func write(_ part: FileExtent) throws(ExtractionReport.Failure) {
        buffer.removeAll()
        reader.append(part, to: buffer) { loss in
            guard report.problems.isEmpty else { return }
            let failure = ExtractionReport.Failure.disk(loss.error)
            report.problems = [
                ExtractionReport.Problem(path: path, failure: failure, range: loss.range)
            ]
        }
        if let lost = report.problems.first?.range {
            buffer.truncate(to: Int(lost.lowerBound - part.fileOffset))
        }
        do throws(SystemError) {
            try buffer.write(to: output)
        } catch {
            throw .system(error)
        }
        report.bytes += UInt64(buffer.count)
    }
}
