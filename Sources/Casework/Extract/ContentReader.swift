internal import DiskFormats
internal import Linux

/// Reads what extents say, many small ones with one read where they lie side by side.
///
/// For one thread. Bytes that cannot be read are reported with their exact range in the file.
final class ContentReader {
    let volume: any BlockSource
    private let window = TransferBuffer(capacity: ContentReader.windowBytes)
    private var windowStart: UInt64 = 0

    /// How much is read at once.
    static let windowBytes = 1 << 18
    /// Small files are read together where no more than this lies between them.
    private static let gapMax: UInt64 = 1 << 16
    /// The unit in which an unreadable range is narrowed down.
    private static let narrowBytes: UInt64 = 4_096

    /// A range of the file that could not be read.
    struct Loss {
        let range: Range<UInt64>
        let error: DiskError
    }

    init(_ volume: any BlockSource) { self.volume = volume }

    /// Reads ahead what `offsets` (each with its length, in the order of use) begins with.
    ///
    /// Does nothing where the first range is there already, or too long to gain by it.
    func readAhead(_ ranges: UpcomingPlaces) {
        var start: UInt64?
        var end: UInt64 = 0
        for range in ranges {
            let (stop, overflow) = range.offset.addingReportingOverflow(range.length)
            guard !overflow else { break }
            guard let first = start else {
                if holds(range) { return }
                start = range.offset
                end = stop
                continue
            }
            guard range.offset >= end, range.offset - end <= Self.gapMax else { break }
            guard stop - first <= UInt64(Self.windowBytes) else { break }
            end = stop
        }
        guard let start, end - start <= UInt64(Self.windowBytes) else { return }
        window.removeAll()
        windowStart = start
        // A failure leaves the window empty; each file is then read on its own and names its loss.
        try? window.append(Int(end - start)) { span throws(DiskError) in
            try volume.read(into: &span, at: start)
        }
    }

    /// Whether a range of the volume is read already.
    private func holds(_ range: (offset: UInt64, length: UInt64)) -> Bool {
        let (offset, length) = range
        return offset >= windowStart && length <= UInt64(window.count)
            && offset - windowStart <= UInt64(window.count) - length
    }

    /// Appends the bytes of `extent`; where some cannot be read, zeros stand for them in `buffer`.
    func append(_ extent: FileExtent, to buffer: TransferBuffer, _ lose: (Loss) -> Void) {
        switch extent.content {
        case .inline(let bytes):
            let kept = [UInt8](bytes.prefix(Int(extent.length)))
            let span = kept.span
            buffer.append(span.raw)
            buffer.appendZeros(Int(extent.length) - kept.count)
        case .hole, .unwritten:
            buffer.appendZeros(Int(extent.length))
        case .unreadable(let error):
            buffer.appendZeros(Int(extent.length))
            let range = extent.fileOffset..<(extent.fileOffset + extent.length)
            lose(Loss(range: range, error: error))
        case .volume(let offset):
            if !append((offset, extent.length), to: buffer) {
                narrow(extent, offset, to: buffer, lose)
            }
        }
    }

    /// Appends a range of the volume; false, and nothing appended, where some cannot be read.
    func append(_ range: (offset: UInt64, length: UInt64), to buffer: TransferBuffer) -> Bool {
        let (offset, length) = range
        if holds(range) {
            let start = Int(offset - windowStart)
            window.withBytes(start..<(start + Int(length))) { buffer.append($0) }
            return true
        }
        do throws(DiskError) {
            try buffer.append(Int(length)) { span throws(DiskError) in
                try volume.read(into: &span, at: offset)
            }
        } catch {
            return false
        }
        return true
    }

    /// Reads block by block after a failure, so that only what is unreadable is lost.
    private func narrow(
        _ extent: FileExtent,
        _ offset: UInt64,
        to buffer: TransferBuffer,
        _ lose: (Loss) -> Void
    ) {
        var lost: Loss?
        var done: UInt64 = 0
        while done < extent.length {
            let count = min(Self.narrowBytes, extent.length - done)
            let start = extent.fileOffset + done
            do throws(DiskError) {
                try buffer.append(Int(count)) { span throws(DiskError) in
                    try volume.read(into: &span, at: offset &+ done)
                }
                if let loss = lost { lose(loss) }
                lost = nil
            } catch {
                buffer.appendZeros(Int(count))
                let first = lost ?? Loss(range: start..<start, error: error)
                lost = Loss(range: first.range.lowerBound..<(start + count), error: first.error)
            }
            done += count
        }
        if let loss = lost { lose(loss) }
    }
}
