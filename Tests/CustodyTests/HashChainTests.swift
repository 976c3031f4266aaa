import JSON
import Testing

@testable import Custody

struct HashChainTests {
    private func made(_ count: Int) -> [[UInt8]] {
        var chain = HashChain()
        return (0..<count).map { number in chain.line { $0.member("n", number) }.dropLast() }
    }

    private func reads(_ lines: [[UInt8]]) -> Bool {
        var chain = HashChain()
        return
            (try? lines.forEach { line in
                var members = try chain.read(line)
                _ = try members.integer("n", as: Int.self)
                try members.end()
            }) != nil
    }

    @Test func `a chain that is written is read, and ends with the same head`() throws {
        var writer = HashChain()
        var reader = HashChain()
        for number in 0..<5 {
            let line = writer.line { $0.member("n", number) }
            var members = try reader.read(line.dropLast())
            #expect(try members.integer("n", as: Int.self) == number)
            try members.end()
        }
        #expect(reader == writer)
        #expect(reader.sequence == 5)
    }

    @Test func `a line that is removed, repeated or moved is noticed`() {
        let lines = made(4)
        #expect(reads(lines))
        for index in 0..<3 {
            var removed = lines
            removed.remove(at: index)
            #expect(!reads(removed))
            var repeated = lines
            repeated.insert(lines[index], at: index)
            #expect(!reads(repeated))
            var moved = lines
            moved.swapAt(index, index + 1)
            #expect(!reads(moved))
        }
    }

    @Test func `any byte of any line but the last changes what follows`() {
        let lines = made(3)
        for index in 0..<2 {
            for position in lines[index].indices {
                var changed = lines
                changed[index][position] ^= 1
                #expect(!reads(changed))
            }
        }
    }
}
