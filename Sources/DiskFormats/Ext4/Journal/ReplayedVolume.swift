/// A volume with the newest committed copies of a journal laid over it.
///
/// Nothing is written anywhere, and no content is kept: it is read from the journal on demand.
/// What only the journal holds is readable even where the volume below is not.
///
/// Reading a block whose copy in the journal has a bad checksum throws
/// ``DiskError/Reason/badChecksum``: what the volume itself holds there is known to be older, so
/// giving it out would be wrong data. (The kernel refuses to mount such a file system.)
package struct ReplayedVolume: BlockSource {
    /// A block of the file system and the block of the journal that replaces it.
    struct Replacement: Equatable, Sendable {
        enum Content: UInt8, Sendable {
            case plain
            /// The first four bytes, zeros in the journal, are jbd2's magic number.
            case escaped
            /// Its checksum is wrong.
            case damaged
        }

        let block: UInt64
        let journalBlock: UInt32
        let content: Content
    }

    /// The volume below.
    package let base: any BlockSource
    private let journal: any BlockSource
    private let blockSize: UInt64
    private let replacements: [Replacement]

    /// Lays `replacements`, in ascending order of their blocks, over `base`.
    init(
        _ base: any BlockSource,
        journal: any BlockSource,
        blockSize: Int,
        replacements: [Replacement]
    ) {
        self.base = base
        self.journal = journal
        self.blockSize = UInt64(blockSize)
        self.replacements = replacements
    }

    /// The size of the volume below.
    package var byteCount: UInt64 { base.byteCount }

    /// Reads replaced blocks from the journal and everything else from below.
    package func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        try checkRange(offset, buffer.byteCount)
        let end = offset + UInt64(buffer.byteCount)
        var index = firstIndex(endingAfter: offset)
        guard index < replacements.count, start(index) < end else {
            return try base.read(into: &buffer, at: offset)
        }
        var position = offset
        while position < end {
            let isReplaced = index < replacements.count && start(index) <= position
            let stop =
                isReplaced
                ? min(self.end(index), end)
                : min(index < replacements.count ? start(index) : end, end)
            let place = Int(position - offset)..<Int(stop - offset)
            if isReplaced {
                var part = buffer._mutatingExtracting(place)
                try readReplacement(replacements[index], into: &part, at: position % blockSize)
                index += 1
            } else {
                var part = buffer._mutatingExtracting(place)
                try base.read(into: &part, at: position)
            }
            position = stop
        }
    }

    /// Computed where blocks are replaced, the answer from below elsewhere.
    package func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        try checkRun(offset, limit)
        var index = firstIndex(endingAfter: offset)
        guard index < replacements.count, start(index) <= offset else {
            let room = index < replacements.count ? start(index) - offset : limit
            return try base.run(at: offset, limit: min(limit, room))
        }
        let wanted = offset + min(limit, byteCount - offset)
        while end(index) < wanted, index + 1 < replacements.count, start(index + 1) == end(index) {
            index += 1
        }
        return BlockRun(length: min(end(index), wanted) - offset, origin: .computed(layer: 0))
    }

    /// Where the block of replacement `index` begins; its block lies inside the volume.
    private func start(_ index: Int) -> UInt64 { replacements[index].block * blockSize }

    /// Where that block ends; the volume may end before its last block does.
    private func end(_ index: Int) -> UInt64 {
        start(index) + min(blockSize, byteCount - start(index))
    }

    /// The first replacement whose block ends after `offset`.
    private func firstIndex(endingAfter offset: UInt64) -> Int {
        let block = offset / blockSize
        var low = 0
        var high = replacements.count
        while low < high {
            let middle = (low + high) / 2
            if replacements[middle].block < block { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Fills `buffer` with the bytes of a replaced block from byte `offset` of the block on.
    private func readReplacement(
        _ replacement: Replacement,
        into buffer: inout MutableRawSpan,
        at offset: UInt64
    ) throws(DiskError) {
        guard replacement.content != .damaged else {
            throw DiskError(
                .badChecksum,
                "journalled copy of block \(replacement.block)",
                at: replacement.block * blockSize,
                "its newest copy in the journal is damaged, and the volume holds an older one"
            )
        }
        let place = UInt64(replacement.journalBlock) * blockSize + offset
        try journal.read(into: &buffer, at: place)
        guard replacement.content == .escaped, offset < 4 else { return }
        let magic: [UInt8] = [0xC0, 0x3B, 0x39, 0x98]
        let last = min(4, Int(offset) + buffer.byteCount)
        let span = magic.span
        buffer.copy(span.raw.extracting(Int(offset)..<last), to: 0)
    }
}
