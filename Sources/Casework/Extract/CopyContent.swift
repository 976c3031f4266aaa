package import DiskFormats
package import Linux

/// What became of the content of one file.
package struct CopyReport: Sendable {
    /// Bytes that were written, holes as the zeros that they read as.
    package fileprivate(set) var bytes: UInt64 = 0
    /// Ranges that could not be read and were left out from there on, or filled with zeros.
    package fileprivate(set) var problems: [ExtractionReport.Problem] = []
    /// How it ended.
    package fileprivate(set) var ending = ExtractionReport.Ending.finished
}

/// Writes the content of a file to a descriptor, as `cat` does.
///
/// Bytes that stand in the file of a layer as they are go from `layers` into a pipe without being
/// copied; `layers` are the descriptors of ``BlockRun/Origin/file(layer:offset:)``, and may be empty.
/// An unreadable range is written as zeros, so that what follows keeps its place, and is reported
/// with its exact place; a caller must not end with success then.
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
                for extent in window { try copy(extent) }
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
            guard start + count < end else { return }
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
            let failure = ExtractionReport.Failure.disk(loss.error)
            guard report.problems.count < ExtractionReport.notesMax else { return }
            report.problems.append(
                ExtractionReport.Problem(path: path, failure: failure, range: loss.range)
            )
        }
        do throws(SystemError) {
            try buffer.write(to: output)
        } catch {
            throw .system(error)
        }
        report.bytes += part.length
    }
}
