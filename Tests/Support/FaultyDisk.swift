package import DiskFormats

/// A source that fails where it is told to, since real disks fail too rarely.
package struct FaultyDisk: BlockSource {
    /// What is wrong with it.
    package enum Fault: Sendable {
        /// Reading any of these bytes fails, and so does asking where they come from.
        case unreadable(Range<UInt64>)
        /// The bytes end here, although the size says otherwise.
        case endsAt(UInt64)
        /// The size is said to be this.
        case claims(UInt64)
    }

    private let base: any BlockSource
    private let faults: [Fault]

    /// Wraps `base` with faults.
    package init(_ base: any BlockSource, _ faults: [Fault]) {
        self.base = base
        self.faults = faults
    }

    /// Wraps `base` with `count` unreadable sectors at places that `random` chooses.
    package init(_ base: any BlockSource, sectors count: Int, _ random: inout Repeatable) {
        self.init(
            base,
            (0..<count).map { _ in
                let sector = UInt64.random(in: 0..<max(1, base.byteCount / 512), using: &random)
                return .unreadable(sector * 512..<(sector + 1) * 512)
            }
        )
    }

    /// The size that is claimed.
    package var byteCount: UInt64 {
        for case .claims(let size) in faults { return size }
        return base.byteCount
    }

    /// Whether reading some of these bytes fails.
    package func isFaulty(_ range: Range<UInt64>) -> Bool {
        if range.upperBound > base.byteCount { return true }
        return faults.contains { fault in
            switch fault {
            case .unreadable(let bad): bad.overlaps(range)
            case .endsAt(let end): range.upperBound > end
            case .claims: false
            }
        }
    }

    /// Reads, or fails as a disk does.
    package func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        try checkRange(offset, buffer.byteCount)
        try fail(offset..<(offset + UInt64(buffer.byteCount)))
        try base.read(into: &buffer, at: offset)
    }

    /// The runs of the base, each cut before the next fault.
    package func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        try checkRange(offset, 1)
        try fail(offset..<(offset + 1))
        let run = try base.run(at: offset, limit: min(limit, byteCount - offset))
        let ends = faults.compactMap { fault -> UInt64? in
            switch fault {
            case .unreadable(let bad): bad.lowerBound
            case .endsAt(let end): end
            case .claims: nil
            }
        }
        let next = ends.filter { $0 > offset }.min() ?? UInt64.max
        return BlockRun(length: min(run.length, next - offset), origin: run.origin)
    }

    private func fail(_ range: Range<UInt64>) throws(DiskError) {
        guard !range.isEmpty, isFaulty(range) else { return }
        throw DiskError(.unreadable, "faulty disk", at: range.lowerBound, "no answer (EIO)")
    }
}
