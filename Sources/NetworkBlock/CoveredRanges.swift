/// Which bytes of a request have come; in any order, but none of them twice.
///
/// Memory is bounded: a reply in order needs one range, however many chunks it has.
struct CoveredRanges {
    private static let rangesMax = 4_096
    /// In ascending order, apart from each other.
    private var ranges: [Range<UInt64>] = []

    /// Whether exactly `range` has been covered.
    func cover(_ range: Range<UInt64>) -> Bool { ranges == [range] }

    /// Adds a range, which must not be empty.
    mutating func add(_ range: Range<UInt64>) throws(ConversationError) {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].lowerBound < range.lowerBound {
                low = middle + 1
            } else {
                high = middle
            }
        }
        let before = low > 0 ? ranges[low - 1].upperBound : nil
        let after = low < ranges.count ? ranges[low].lowerBound : nil
        guard before ?? 0 <= range.lowerBound, after ?? .max >= range.upperBound else {
            throw .violation("the server sends byte \(range.lowerBound) or later ones twice")
        }
        switch (before == range.lowerBound, after == range.upperBound) {
        case (true, true):
            ranges[low - 1] = ranges[low - 1].lowerBound..<ranges[low].upperBound
            ranges.remove(at: low)
        case (true, false):
            ranges[low - 1] = ranges[low - 1].lowerBound..<range.upperBound
        case (false, true):
            ranges[low] = range.lowerBound..<ranges[low].upperBound
        case (false, false):
            guard ranges.count < Self.rangesMax else {
                throw .violation("the server sends a reply in too many pieces")
            }
            ranges.insert(range, at: low)
        }
    }
}
