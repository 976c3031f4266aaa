import DiskFormats

/// A disk some of whose bytes the system fails to deliver.
struct BadSectors: BlockSource {
    private let base: any BlockSource
    private let bad: Range<UInt64>

    init(_ base: any BlockSource, _ bad: Range<UInt64>) {
        self.base = base
        self.bad = bad
    }

    var byteCount: UInt64 { base.byteCount }

    func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        let range = offset..<(offset + UInt64(buffer.byteCount))
        guard !range.overlaps(bad) else {
            throw DiskError(.unreadable, "disk", at: bad.lowerBound, "input/output error")
        }
        try base.read(into: &buffer, at: offset)
    }

    func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        try base.run(at: offset, limit: limit)
    }
}
