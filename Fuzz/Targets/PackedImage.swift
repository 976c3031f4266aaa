internal import DiskFormats

/// A disk in few bytes: its size, and the sectors that are not zero.
///
/// Real images are mostly zeros, and a mutation that hits those is wasted. The packed form begins
/// with the size in sectors of 512 bytes (32 bits, little-endian). Then come runs: the number of the
/// first sector (32 bits), one less than the count of sectors (8 bits), and their bytes. Later runs
/// win; the last may be cut short. Any bytes are a valid image.
struct PackedImage: BlockSource {
    private static let sectorByteCount = 512

    /// The size of the disk in bytes, up to 2 TiB.
    let byteCount: UInt64
    private var stored: [UInt8]
    /// Where the bytes of a sector begin in ``stored``.
    private var places: [UInt64: Int] = [:]

    /// Unpacks `packed`; memory is about what it takes.
    init(_ packed: ArraySlice<UInt8>) {
        // The last sector may be cut short.
        stored = packed + [UInt8](repeating: 0, count: Self.sectorByteCount)
        let end = packed.count
        var position = 0
        func number(_ bytes: [UInt8]) -> UInt64 {
            defer { position += 4 }
            guard position + 4 <= end else { return 0 }
            return bytes[position..<position + 4].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        byteCount = number(stored) * UInt64(Self.sectorByteCount)
        while position + 5 < end {
            let first = number(stored)
            let count = UInt64(stored[position]) + 1
            position += 1
            for sector in first..<first + count where position < end {
                places[sector] = position
                position += Self.sectorByteCount
            }
        }
    }

    /// Clears `bits` in the little-endian word at `offset`, which must not cross sectors.
    mutating func clear(_ bits: UInt32, at offset: UInt64) {
        change(at: offset) { $0 & ~bits }
    }

    /// Sets the little-endian word at `offset`, which must not cross sectors.
    mutating func set(_ word: UInt32, at offset: UInt64) {
        change(at: offset) { _ in word }
    }

    /// Changes a word, but only in sectors that are stored: zeros stay zeros.
    private mutating func change(at offset: UInt64, _ body: (UInt32) -> UInt32) {
        let (sector, within) = offset.quotientAndRemainder(
            dividingBy: UInt64(Self.sectorByteCount)
        )
        guard let place = places[sector] else { return }
        let word = place + Int(within)..<place + Int(within) + 4
        let changed = body(stored[word].reversed().reduce(0) { $0 << 8 | UInt32($1) })
        for (shift, index) in word.enumerated() {
            stored[index] = UInt8(truncatingIfNeeded: changed >> (8 * shift))
        }
    }

    /// Fills the buffer from the sectors that are stored, and zeros the rest of it.
    func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        try checkRange(offset, buffer.byteCount)
        buffer.zero(buffer.byteCount, at: 0)
        guard buffer.byteCount > 0 else { return }
        let size = UInt64(Self.sectorByteCount)
        let end = offset + UInt64(buffer.byteCount)
        let wanted = offset / size...(end - 1) / size
        let span = stored.span
        func copy(_ sector: UInt64, _ place: Int, _ buffer: inout MutableRawSpan) {
            let from = max(sector * size, offset)
            let to = min(sector * size + size, end)
            let start = place + Int(from - sector * size)
            let part = span.raw.extracting(start..<start + Int(to - from))
            buffer.copy(part, to: Int(from - offset))
        }
        if wanted.count < places.count {
            for sector in wanted {
                if let place = places[sector] { copy(sector, place, &buffer) }
            }
        } else {
            for (sector, place) in places where wanted.contains(sector) {
                copy(sector, place, &buffer)
            }
        }
    }

    /// All of it counts as standing in the file at the same place.
    func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        try checkRange(offset, 1)
        let length = min(limit, byteCount - offset)
        return BlockRun(length: length, origin: .file(layer: 0, offset: offset))
    }
}
