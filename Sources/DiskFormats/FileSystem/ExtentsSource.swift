/// The bytes of one file, put together from its extents: a disk inside a file.
///
/// Holes and unwritten extents read as zeros. Unreadable extents, and ranges that no extent covers,
/// throw instead. Memory is what the extents take.
package struct ExtentsSource: BlockSource {
    private let volume: any BlockSource
    private let extents: [FileExtent]
    /// The size of the file in bytes.
    package let byteCount: UInt64

    /// Reads the file that `extents` describe, in ascending order and without overlap, on `volume`.
    package init(volume: any BlockSource, extents: [FileExtent], byteCount: UInt64) {
        self.volume = volume
        self.extents = extents
        self.byteCount = byteCount
    }

    /// Fills the buffer, extent by extent.
    package func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        try checkRange(offset, buffer.byteCount)
        var done = 0
        while done < buffer.byteCount {
            let position = offset + UInt64(done)
            let extent = try extent(at: position)
            let within = position - extent.fileOffset
            let count = Int(min(UInt64(buffer.byteCount - done), extent.length - within))
            switch extent.content {
            case .volume(let start):
                var part = buffer._mutatingExtracting(done..<(done + count))
                try volume.read(into: &part, at: start + within)
            case .inline(let bytes):
                let span = bytes.span
                buffer.copy(try span.raw.slice(at: Int(within), count: count), to: done)
            case .hole, .unwritten:
                buffer.zero(count, at: done)
            case .unreadable(let error):
                throw error
            }
            done += count
        }
    }

    /// Where the volume says that an extent's bytes are; computed where they are kept inline.
    package func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        try checkRun(offset, limit)
        let extent = try extent(at: offset)
        let within = offset - extent.fileOffset
        let length = min(limit, extent.length - within)
        switch extent.content {
        case .volume(let start): return try volume.run(at: start + within, limit: length)
        case .inline: return BlockRun(length: length, origin: .computed(layer: 0))
        case .hole, .unwritten: return BlockRun(length: length, origin: .zeros(layer: nil))
        case .unreadable(let error): throw error
        }
    }

    /// The extent that covers `position`, by halving.
    private func extent(at position: UInt64) throws(DiskError) -> FileExtent {
        var low = 0
        var high = extents.count
        while low < high {
            let middle = (low + high) / 2
            if extents[middle].fileOffset <= position { low = middle + 1 } else { high = middle }
        }
        guard low > 0, position - extents[low - 1].fileOffset < extents[low - 1].length else {
            throw DiskError(.inconsistent, "file", at: position, "no extent covers this byte of it")
        }
        return extents[low - 1]
    }
}
