import TestSupport
import Testing

@testable import NetworkBlock

/// What has come of a reply, and nothing twice.
@Suite struct CoveredRangesTests {
    @Test func `pieces in any order cover what they cover, and no byte comes twice`() throws {
        var random = Repeatable(state: 31)
        for _ in 0..<20 {
            let cuts = Set((0..<20).map { _ in UInt64.random(in: 101..<500, using: &random) })
            let ends = ([100, 500] + cuts).sorted()
            let pieces = zip(ends, ends.dropFirst()).map { $0..<$1 }.shuffled(using: &random)
            var covered = CoveredRanges()
            for (index, piece) in pieces.enumerated() {
                #expect(!covered.cover(100..<500))
                try covered.add(piece)
                for earlier in pieces[...index] {
                    let low = max(earlier.lowerBound, 1) - UInt64.random(in: 0...1, using: &random)
                    var copy = covered
                    #expect(throws: ConversationError.self) { try copy.add(low..<(low + 2)) }
                }
            }
            #expect(covered.cover(100..<500))
        }
    }

    @Test func `a reply in endless pieces apart from each other is refused`() throws {
        var covered = CoveredRanges()
        let error = #expect(throws: ConversationError.self) {
            for start in stride(from: UInt64(0), to: 100_000, by: 2) {
                try covered.add(start..<(start + 1))
            }
        }
        #expect(error?.message.contains("too many pieces") == true)
        var inOrder = CoveredRanges()
        for start in UInt64(0)..<100_000 { try inOrder.add(start..<(start + 1)) }
        #expect(inOrder.cover(0..<100_000))
    }
}
