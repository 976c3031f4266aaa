internal import Digests
internal import DiskFormats
internal import Linux

/// One file of a bag: a file of its own, or a part of the tar.
struct BagPart: Sendable {
    let file: BagFile
    let descriptor: FileDescriptor
    /// Where it begins in the file that holds it.
    let offset: UInt64
    let size: UInt64
}

/// Reads a file of a bag once, from its beginning to its end, and hashes what passes.
///
/// What is compared and what is hashed are the same bytes, even where somebody changes the file
/// meanwhile. Memory is that of one piece.
final class PartReader {
    private let part: BagPart
    private let watch: VerificationWatch
    private var buffer: [UInt8]
    private var start = 0
    private var end = 0
    private var hash = SHA256()
    /// The offset of the next byte.
    private(set) var position: UInt64 = 0

    private static let pieceBytes = 1 << 20

    init(_ part: BagPart, _ watch: VerificationWatch) {
        self.part = part
        self.watch = watch
        buffer = [UInt8](
            repeating: 0,
            count: Int(min(UInt64(Self.pieceBytes), max(part.size, 1)))
        )
    }

    /// How many bytes are left.
    var rest: UInt64 { part.size - position }

    /// A fault at the next byte, or `back` bytes before it.
    func fault(_ reason: String, back: UInt64 = 0) -> BagStop {
        .fault(.byte(part.file, position - min(back, position)), reason)
    }

    /// Makes sure that a byte is in the buffer; false at the end.
    private func fill() throws(BagStop) -> Bool {
        if start < end { return true }
        guard rest > 0 else { return false }
        try watch.proceed(bytes: UInt64(end))
        let count = Int(min(UInt64(buffer.count), rest))
        if count < buffer.count { buffer.removeLast(buffer.count - count) }
        let got: Int
        do throws(SystemError) {
            got = try part.descriptor.read(into: &buffer, at: part.offset + position)
        } catch {
            throw .system(error)
        }
        guard got == count else { throw fault("it became shorter while it was read") }
        let filled = buffer
        let span = filled.span
        hash.update(span.raw)
        (start, end) = (0, count)
        return true
    }

    /// Passes the next `count` bytes on in pieces.
    func pieces(_ count: UInt64, _ body: (RawSpan) throws(BagStop) -> Void) throws(BagStop) {
        var left = count
        while left > 0 {
            guard try fill() else { throw fault("it ends early") }
            let length = Int(min(left, UInt64(end - start)))
            let filled = buffer
            let span = filled.span.extracting(start..<(start + length))
            try body(span.raw)
            start += length
            position += UInt64(length)
            left -= UInt64(length)
        }
    }

    /// The next `count` bytes, which the caller has bounded.
    func bytes(_ count: Int) throws(BagStop) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        var left = count
        while left > 0 {
            guard try fill() else { throw fault("it ends early") }
            let length = min(left, end - start)
            bytes += buffer[start..<(start + length)]
            start += length
            position += UInt64(length)
            left -= length
        }
        return bytes
    }

    /// The next line without its newline; nil at the end.
    func line(limit: Int) throws(BagStop) -> [UInt8]? {
        guard try fill() else { return nil }
        var line: [UInt8] = []
        while true {
            guard try fill() else { throw fault("its last line has no newline") }
            let piece = buffer[start..<end]
            let newline = piece.firstIndex(of: UInt8(ascii: "\n"))
            let stop = newline ?? end
            guard line.count + stop - start <= limit else {
                throw fault("a line is longer than \(limit) bytes")
            }
            line += buffer[start..<stop]
            position += UInt64(stop - start)
            start = stop
            guard newline != nil else { continue }
            start += 1
            position += 1
            return line
        }
    }

    /// Passes over `count` bytes, which have to be zeros.
    func zeros(_ count: UInt64, _ name: String) throws(BagStop) {
        var left = count
        while left > 0 {
            let piece = try bytes(Int(min(left, 512)))
            guard piece == Array(UstarBlock.zeros.prefix(piece.count)) else {
                let first = piece.prefix { $0 == 0 }.count
                throw fault("\(name) is not zero", back: UInt64(piece.count - first))
            }
            left -= UInt64(piece.count)
        }
    }

    /// Reads what is left and gives the digest of the whole file.
    func digest() throws(BagStop) -> Digest {
        while try fill() {
            position += UInt64(end - start)
            start = end
        }
        return hash.digest
    }
}

/// Lets somebody see how far a verification is, and end it.
final class VerificationWatch {
    private let cancellation: CancellationFlag
    private let show: (_ bytes: UInt64, _ entries: UInt64) -> Void
    private var bytes: UInt64 = 0
    private var next: UInt64 = 0
    var entries: UInt64 = 0

    init(_ cancellation: CancellationFlag, _ show: @escaping (UInt64, UInt64) -> Void) {
        self.cancellation = cancellation
        self.show = show
    }

    /// Counts bytes that were read or hashed; throws where the user has had enough.
    func proceed(bytes count: UInt64) throws(BagStop) {
        guard !cancellation.isSet else {
            throw .error(GloveboxError(.interrupted, "Interrupted; nothing was verified."))
        }
        bytes += count
        let now = monotonicNanoseconds()
        guard now >= next else { return }
        next = now + 100_000_000
        show(bytes, entries)
    }
}
