internal import Glibc

/// A buffer for bytes on their way from a disk to a file or pipe; made to be used again.
@safe package final class TransferBuffer: @unchecked Sendable {
    // One thread has it at a time and hands it on whole: that is the reason for `@unchecked`.
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    /// How many bytes are in it.
    package private(set) var count = 0

    /// An empty buffer with room for `capacity` bytes; it grows where that is not enough.
    package init(capacity: Int) {
        self.capacity = max(capacity, 4_096)
        unsafe base = .allocate(byteCount: self.capacity, alignment: 4_096)
    }

    deinit { unsafe base.deallocate() }

    /// Forgets the content and keeps the memory.
    package func removeAll() { count = 0 }

    /// Forgets what stands past `count`.
    package func truncate(to count: Int) {
        precondition(count >= 0 && count <= self.count)
        self.count = count
    }

    /// Adds the bytes of `span`.
    package func append(_ span: RawSpan) {
        guard span.byteCount > 0 else { return }
        makeRoom(span.byteCount)
        unsafe span.withUnsafeBytes { bytes in
            guard let source = bytes.baseAddress else { return }
            unsafe (base + count).copyMemory(from: source, byteCount: bytes.count)
        }
        count += span.byteCount
    }

    /// Adds `count` zeros.
    package func appendZeros(_ count: Int) {
        guard count > 0 else { return }
        makeRoom(count)
        unsafe memset(base + self.count, 0, count)
        self.count += count
    }

    /// Adds `count` bytes that `fill` writes; none where it throws.
    package func append<Failure: Error>(
        _ count: Int,
        _ fill: (inout MutableRawSpan) throws(Failure) -> Void
    ) throws(Failure) {
        guard count > 0 else { return }
        makeRoom(count)
        var span = unsafe MutableRawSpan(_unsafeStart: base + self.count, byteCount: count)
        try fill(&span)
        self.count += count
    }

    /// Calls `body` with the bytes `range` of the content.
    package func withBytes<Result, Failure: Error>(
        _ range: Range<Int>,
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        let start = unsafe base + range.lowerBound
        return try body(unsafe RawSpan(_unsafeStart: start, byteCount: range.count))
    }

    /// Writes the whole content to `file`.
    package func write(to file: FileDescriptor) throws(SystemError) {
        try withBytes(0..<count) { bytes throws(SystemError) in try file.write(bytes) }
    }

    private func makeRoom(_ more: Int) {
        guard more > capacity - count else { return }
        let size = (count + more) * 2
        let grown = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 4_096)
        unsafe grown.copyMemory(from: base, byteCount: count)
        unsafe base.deallocate()
        unsafe base = grown
        capacity = size
    }
}
