internal import Synchronization

/// Caches pages of a source, for the many small reads that metadata needs.
///
/// Round trips, not bytes, are what reading metadata costs, so a page is larger than any structure.
/// Memory is bounded by `capacity` pages; safe to share between threads.
public final class BlockCache: Sendable {
    /// What is cached.
    public let source: any BlockSource
    private let pageShift: Int
    private let capacity: Int
    private let state: Mutex<State>

    fileprivate struct State {
        /// Page number to slot.
        var slots: [UInt64: Int] = [:]
        var pages: [Page] = []
        /// The clock hand: second-chance eviction, which keeps what is used again.
        var hand = 0
        /// The page of the last hit, since the next read is mostly beside it.
        var latest = 0
    }

    fileprivate struct Page {
        var number: UInt64
        var bytes: [UInt8]
        var used: Bool
    }

    /// Caches up to `capacity` pages of 2^`pageShift` bytes.
    public init(_ source: any BlockSource, pageShift: Int = 16, capacity: Int = 512) {
        self.source = source
        self.pageShift = pageShift
        self.capacity = max(1, capacity)
        self.state = Mutex(State())
    }

    /// Calls `body` with exactly `count` bytes at `offset`.
    ///
    /// The bytes are not copied where they lie within one page.
    @inline(__always)
    package func withBytes<Result>(
        at offset: UInt64,
        count: Int,
        _ body: (RawSpan) throws(DiskError) -> Result
    ) throws(DiskError) -> Result {
        try source.checkRange(offset, count)
        let number = offset >> UInt64(pageShift)
        let start = Int(offset & (UInt64(1) << UInt64(pageShift) - 1))
        if start + count <= 1 << pageShift, let bytes = try? page(number) {
            let span = bytes.span
            return try body(span.raw.slice(at: start, count: count))
        }
        // A page that cannot be read as a whole may well hold these bytes.
        let copy = try source.bytes(at: offset, count: count)
        let span = copy.span
        return try body(span.raw)
    }

    /// The bytes of page `number`; the last page of the source may be short.
    package func page(_ number: UInt64) throws(DiskError) -> [UInt8] {
        if let hit = state.withLock({ $0.find(number) }) { return hit }
        let start = number << UInt64(pageShift)
        let count = Int(min(source.byteCount - start, UInt64(1) << UInt64(pageShift)))
        let bytes = try source.bytes(at: start, count: count)
        state.withLock { $0.insert(Page(number: number, bytes: bytes, used: false), capacity) }
        return bytes
    }
}

extension BlockCache.State {
    fileprivate mutating func find(_ number: UInt64) -> [UInt8]? {
        if latest < pages.count, pages[latest].number == number { return pages[latest].bytes }
        guard let slot = slots[number] else { return nil }
        pages[slot].used = true
        latest = slot
        return pages[slot].bytes
    }

    fileprivate mutating func insert(_ page: BlockCache.Page, _ capacity: Int) {
        guard slots[page.number] == nil else { return }
        if pages.count < capacity {
            slots[page.number] = pages.count
            latest = pages.count
            pages.append(page)
            return
        }
        while pages[hand].used {
            pages[hand].used = false
            hand = (hand + 1) % pages.count
        }
        slots[pages[hand].number] = nil
        slots[page.number] = hand
        latest = hand
        pages[hand] = page
        hand = (hand + 1) % pages.count
    }
}
