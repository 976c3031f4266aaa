internal import DiskFormats
internal import EngineProtocol
internal import Synchronization

/// The contents of the files of one file system of the engine, one after another, as one source.
///
/// Each file gets a range of its own when its extents are first asked for, and keeps it. Between two
/// files lies more than readers skip to join reads; nothing can be read there.
///
/// Every request costs the appliance a fixed time besides that of its bytes, so long files are read
/// in the longest pieces that one request can have, and the latest pieces are kept.
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

    /// A piece of a file, from a multiple of its longest length on.
    private struct Piece {
        let file: UInt64
        let start: UInt64
        let bytes: [UInt8]
    }

    /// Readers on several threads are about as many pieces apart.
    private static let piecesMax = 4
    private static let pieceBytes = UInt64(WorkerRequest.readBytesMax)
    /// Shorter reads are not the beginning of a long one, or follow on one that failed.
    private static let sequentialBytes = 1 << 16

    private let state = Mutex(State())
    /// The one used last is the last.
    private let pieces = Mutex<[Piece]>([])
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
        let isLong = buffer.byteCount >= Self.sequentialBytes
        var done = 0
        while done < buffer.byteCount {
            let position = offset - range.start + UInt64(done)
            let bytes = try bytes(
                of: range,
                at: position,
                countMax: buffer.byteCount - done,
                readsAhead: isLong
            )
            let span = bytes.span
            buffer.copy(span.raw, to: done)
            done += bytes.count
        }
    }

    /// Up to `countMax` bytes of a file, at least one, from a piece that is kept where there is one.
    private func bytes(
        of range: Range,
        at position: UInt64,
        countMax: Int,
        readsAhead: Bool
    ) throws(DiskError) -> ArraySlice<UInt8> {
        let start = position / Self.pieceBytes * Self.pieceBytes
        let length = min(Self.pieceBytes, range.size - start)
        let count = min(countMax, Int(length - (position - start)))
        let skipped = Int(position - start)
        // Held while the piece is fetched: who wants the same waits for it, and others had to wait
        // for the appliance in any case.
        let piece = pieces.withLock { pieces -> [UInt8]? in
            if let index = pieces.firstIndex(where: { $0.file == range.file && $0.start == start })
            {
                pieces.append(pieces.remove(at: index))
                return pieces.last?.bytes
            }
            guard readsAhead else { return nil }
            guard let bytes = try? fetch(range.file, start, Int(length)), bytes.count == length
            else { return nil }
            if pieces.count == Self.piecesMax { pieces.removeFirst() }
            pieces.append(Piece(file: range.file, start: start, bytes: bytes))
            return bytes
        }
        if let piece { return piece[skipped..<(skipped + count)] }
        let bytes = try fetch(range.file, position, count)
        guard bytes.count == count else {
            throw DiskError(.truncated, "inode \(range.file)", "fewer bytes than asked for")
        }
        return bytes[...]
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
