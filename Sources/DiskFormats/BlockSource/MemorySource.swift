/// Bytes in memory, read like a disk.
public struct MemorySource: BlockSource {
    private let bytes: [UInt8]

    /// Creates a disk whose content is `bytes`.
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The number of bytes given.
    public var byteCount: UInt64 { UInt64(bytes.count) }

    /// Copies from memory.
    public func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        try checkRange(offset, buffer.byteCount)
        let span = bytes.span
        let start = Int(offset)
        buffer.copy(span.raw.extracting(start..<(start + buffer.byteCount)), to: 0)
    }

    /// All of it counts as computed.
    public func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        try checkRange(offset, 1)
        guard limit > 0 else { throw DiskError(.truncated, "disk", at: offset, "no bytes wanted") }
        return BlockRun(length: min(limit, byteCount - offset), origin: .computed(layer: 0))
    }
}
