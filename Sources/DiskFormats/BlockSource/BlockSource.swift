/// Read-only bytes of a disk, a volume, or a layer of one.
///
/// A conforming type delivers all the bytes or throws: there are no short reads, and bytes that
/// could not be read are never replaced by zeros. Reading concurrently is allowed.
public protocol BlockSource: Sendable {
    /// The size in bytes; nothing can be read at or past it.
    var byteCount: UInt64 { get }

    /// Fills the whole buffer with the bytes at `offset`.
    ///
    /// Throws ``DiskError/Reason/truncated`` where that would pass the end, and
    /// ``DiskError/Reason/unreadable`` where the system reports an error.
    func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError)

    /// Says where the bytes at `offset` come from, for as far as one answer holds.
    ///
    /// The run begins at `offset` and is between 1 and `limit` bytes long. Throws as
    /// ``read(into:at:)`` does where `offset` is at or past the end, or `limit` is zero.
    func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun
}

/// A range of a ``BlockSource`` whose bytes all come from the same place.
public struct BlockRun: Equatable, Sendable {
    /// Where bytes come from.
    public enum Origin: Equatable, Sendable {
        /// They stand in the file of layer `layer` (0 is the top of the chain) from byte `offset` on.
        case file(layer: Int, offset: UInt64)
        /// They read as zeros; nothing stores them. `layer` is the layer that says so, where one does.
        case zeros(layer: Int?)
        /// They are computed, such as decompressed or replayed from a journal.
        case computed(layer: Int)
    }

    /// Length in bytes, at least 1.
    public let length: UInt64
    /// Where these bytes come from.
    public let origin: Origin

    /// Creates a run of `length` bytes.
    public init(length: UInt64, origin: Origin) {
        self.length = length
        self.origin = origin
    }
}

extension BlockSource {
    /// A copy of `count` bytes at `offset`; all of them or an error.
    public func bytes(at offset: UInt64, count: Int) throws(DiskError) -> [UInt8] {
        try checkRange(offset, count)
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        try read(into: &raw, at: offset)
        return bytes
    }

    /// Throws ``DiskError/Reason/truncated`` unless a run can begin at `offset` and have a length.
    package func checkRun(_ offset: UInt64, _ limit: UInt64) throws(DiskError) {
        try checkRange(offset, 1)
        guard limit > 0 else { throw DiskError(.truncated, "disk", at: offset, "no bytes wanted") }
    }

    /// Throws ``DiskError/Reason/truncated`` unless `count` bytes at `offset` lie inside.
    package func checkRange(_ offset: UInt64, _ count: Int) throws(DiskError) {
        guard count >= 0, offset <= byteCount, byteCount - offset >= UInt64(count) else {
            throw DiskError(
                .truncated,
                "disk",
                at: offset,
                "\(count) bytes wanted, past the end at \(byteCount)"
            )
        }
    }
}
