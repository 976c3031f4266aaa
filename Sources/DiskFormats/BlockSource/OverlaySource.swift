/// A source with some of its blocks replaced, such as by the replay of a journal.
///
/// Nothing is written anywhere: the replacements live in memory for as long as the value does.
public struct OverlaySource: BlockSource {
    /// The source below.
    public let base: any BlockSource
    /// Size of a replaceable block in bytes.
    public let blockSize: Int
    private let blocks: [UInt64: [UInt8]]

    /// Replaces block `n` (bytes `n × blockSize` on) by `blocks[n]`, each exactly `blockSize` long.
    public init(_ base: any BlockSource, blockSize: Int, blocks: [UInt64: [UInt8]]) {
        precondition(blockSize > 0 && blocks.values.allSatisfy { $0.count == blockSize })
        self.base = base
        self.blockSize = blockSize
        self.blocks = blocks
    }

    /// The size of the source below.
    public var byteCount: UInt64 { base.byteCount }

    /// Reads from below, then lays the replaced blocks over it.
    public func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        try base.read(into: &buffer, at: offset)
        guard !blocks.isEmpty, buffer.byteCount > 0 else { return }
        let size = UInt64(blockSize)
        let end = offset + UInt64(buffer.byteCount)
        for number in (offset / size)...((end - 1) / size) {
            guard let block = blocks[number] else { continue }
            let start = number * size
            let from = max(start, offset)
            let to = min(start + size, end)
            let span = block.span
            let part = span.raw.extracting(Int(from - start)..<Int(to - start))
            buffer.copy(part, to: Int(from - offset))
        }
    }

    /// Computed where a block was replaced, the answer from below elsewhere.
    public func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        let below = try base.run(at: offset, limit: limit)
        guard !blocks.isEmpty else { return below }
        let size = UInt64(blockSize)
        var number = offset / size
        if blocks[number] != nil {
            let length = min(limit, size - offset % size, byteCount - offset)
            return BlockRun(length: length, origin: .computed(layer: 0))
        }
        let end = offset + below.length
        while number * size < end, blocks[number] == nil { number += 1 }
        return BlockRun(length: min(end, number * size) - offset, origin: below.origin)
    }
}
