internal import DiskFormats
internal import EngineProtocol
internal import Synchronization

/// The contents of the files of one file system of the engine, one after another, as one source.
///
/// Each file gets a range of its own when its extents are first asked for, and keeps it. Between two
/// files lies more than readers skip to join reads; nothing can be read there.
final class EngineContent: BlockSource {
    private struct Range {
        let start: UInt64
        let size: UInt64
        let file: UInt64
    }

    private struct State {
        /// In ascending order.
        var ranges: [Range] = []
        var starts: [UInt64: UInt64] = [:]
        var next: UInt64 = 0
    }

    /// Ranges begin at its multiples, at least one of them after the end of the last.
    private static let unit: UInt64 = 1 << 20

    private let state = Mutex(State())
    private let fetch: @Sendable (UInt64, UInt64, Int) throws(DiskError) -> [UInt8]

    /// Where files are put; what does not fit is refused by name.
    let byteCount: UInt64 = 1 << 62

    /// Reads with `fetch`: the file's number, the offset in it, how many bytes.
    init(_ fetch: @escaping @Sendable (UInt64, UInt64, Int) throws(DiskError) -> [UInt8]) {
        self.fetch = fetch
    }

    /// Where the content of `file` begins.
    func place(of file: UInt64, size: UInt64) throws(DiskError) -> UInt64 {
        let place = state.withLock { state -> UInt64? in
            if let known = state.starts[file] { return known }
            let start = state.next
            guard size <= byteCount - start, byteCount - start - size > Self.unit * 2 else {
                return nil
            }
            state.next = (start + size + 2 * Self.unit - 1) / Self.unit * Self.unit
            state.starts[file] = start
            state.ranges.append(Range(start: start, size: size, file: file))
            return start
        }
        guard let place else {
            throw DiskError(
                .refused,
                "inode \(file)",
                "with its \(size) bytes, more than can be read of one file system in one go"
            )
        }
        return place
    }

    func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        let range = try range(at: offset, buffer.byteCount)
        var done = 0
        while done < buffer.byteCount {
            let count = min(buffer.byteCount - done, Int(WorkerRequest.readBytesMax))
            let bytes = try fetch(range.file, offset - range.start + UInt64(done), count)
            guard bytes.count == count else {
                throw DiskError(.truncated, "inode \(range.file)", "fewer bytes than asked for")
            }
            let span = bytes.span
            buffer.copy(span.raw, to: done)
            done += count
        }
    }

    /// The appliance's kernel has put the bytes together; from where, it does not say.
    func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        let range = try range(at: offset, 1)
        let rest = range.start + range.size - offset
        return BlockRun(length: max(1, min(limit, rest)), origin: .computed(layer: 0))
    }

    private func range(at offset: UInt64, _ count: Int) throws(DiskError) -> Range {
        let found = state.withLock { state -> Range? in
            var low = 0
            var high = state.ranges.count
            while low < high {
                let middle = (low + high) / 2
                if state.ranges[middle].start <= offset { low = middle + 1 } else { high = middle }
            }
            return low > 0 ? state.ranges[low - 1] : nil
        }
        guard let found, offset - found.start <= found.size,
            found.size - (offset - found.start) >= UInt64(count)
        else {
            throw DiskError(.truncated, "file", at: offset, "no file has \(count) bytes there")
        }
        return found
    }
}
