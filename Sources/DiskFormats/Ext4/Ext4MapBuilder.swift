/// Collects what a window of a file consists of, in ascending order, and fills gaps with holes.
struct Ext4MapBuilder {
    /// The bytes of the file that are asked for.
    let window: Range<UInt64>
    let blockShift: UInt64
    /// The size of the volume in bytes, which may be less than the file system believes.
    let volumeByteCount: UInt64
    private(set) var extents: [FileExtent] = []
    private var position: UInt64

    init(window: Range<UInt64>, superblock: Ext4Superblock, volume: any BlockSource) {
        self.window = window
        blockShift = superblock.blockShift
        volumeByteCount = volume.byteCount
        position = window.lowerBound
    }

    /// The first block of the file that matters.
    var firstBlock: UInt64 { window.lowerBound >> blockShift }

    /// The first block of the file that no longer matters.
    var endBlock: UInt64 {
        window.isEmpty ? firstBlock : (window.upperBound - 1) >> blockShift + 1
    }

    /// Whether any of `blocks` is asked for.
    func wants(_ blocks: Range<UInt64>) -> Bool { blocks.overlaps(firstBlock..<endBlock) }

    /// Adds blocks that stand on the volume from block `physical` on, which was checked to be
    /// within the file system.
    mutating func add(_ blocks: Range<UInt64>, physical: UInt64) {
        let start = physical << blockShift
        let length = (blocks.upperBound - blocks.lowerBound) << blockShift
        let first = blocks.lowerBound << blockShift
        guard start + length > volumeByteCount else {
            return add(first, first + length, .volume(offset: start))
        }
        let there = start < volumeByteCount ? volumeByteCount - start : 0
        if there > 0 { add(first, first + there, .volume(offset: start)) }
        let error = DiskError(
            .truncated,
            "ext4 file data",
            at: volumeByteCount,
            "the volume ends here, but the file goes on"
        )
        add(first + there, first + length, .unreadable(error))
    }

    /// Adds blocks without a place of their own: unwritten or unreadable.
    mutating func add(_ blocks: Range<UInt64>, _ content: FileExtent.Content) {
        add(blocks.lowerBound << blockShift, blocks.upperBound << blockShift, content)
    }

    private mutating func add(_ from: UInt64, _ end: UInt64, _ content: FileExtent.Content) {
        let start = max(from, position)
        let stop = min(end, window.upperBound)
        guard start < stop else { return }
        if start > position { append(position, start, .hole) }
        if case .volume(let offset) = content {
            append(start, stop, .volume(offset: offset + (start - from)))
        } else {
            append(start, stop, content)
        }
        position = stop
    }

    /// All extents, with a hole up to the end of the window.
    mutating func finish() -> [FileExtent] {
        if position < window.upperBound { append(position, window.upperBound, .hole) }
        position = window.upperBound
        return extents
    }

    private mutating func append(_ start: UInt64, _ end: UInt64, _ content: FileExtent.Content) {
        if let last = extents.last, continues(last, content) {
            extents[extents.count - 1] = FileExtent(
                fileOffset: last.fileOffset,
                length: end - last.fileOffset,
                content: last.content
            )
            return
        }
        extents.append(FileExtent(fileOffset: start, length: end - start, content: content))
    }

    private func continues(_ last: FileExtent, _ content: FileExtent.Content) -> Bool {
        switch (last.content, content) {
        case (.volume(let offset), .volume(let next)): offset + last.length == next
        case (.hole, .hole), (.unwritten, .unwritten): true
        case (.unreadable(let error), .unreadable(let next)): error == next
        default: false
        }
    }
}
