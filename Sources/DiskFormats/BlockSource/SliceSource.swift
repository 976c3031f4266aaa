/// A part of another source, such as a partition; bytes outside it cannot be reached through it.
public struct SliceSource: BlockSource {
    private let base: any BlockSource
    /// Where the slice begins in its parent.
    public let start: UInt64
    /// The size of the slice in bytes.
    public let byteCount: UInt64

    /// Creates the slice of `base` that begins at `start`; it must lie inside.
    public init(_ base: any BlockSource, start: UInt64, byteCount: UInt64) throws(DiskError) {
        guard start <= base.byteCount, base.byteCount - start >= byteCount else {
            throw DiskError(
                .truncated,
                "volume",
                at: start,
                "\(byteCount) bytes from there pass the end of the disk at \(base.byteCount)"
            )
        }
        self.base = base
        self.start = start
        self.byteCount = byteCount
    }

    /// Fills the buffer from the slice.
    public func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        try checkRange(offset, buffer.byteCount)
        try base.read(into: &buffer, at: start + offset)
    }

    /// The origin as the parent gives it, cut at the end of the slice.
    public func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        try checkRun(offset, limit)
        return try base.run(at: start + offset, limit: min(limit, byteCount - offset))
    }
}
