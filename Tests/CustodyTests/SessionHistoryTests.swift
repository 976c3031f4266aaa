import Foundation
import TestSupport
import Testing

@testable import Custody

struct SessionHistoryTests {
    @Test(arguments: Journals.all)
    func `what is written is read, with its times`(_ records: [SessionRecord]) throws {
        let history = try SessionHistory(journal: Journals.journal(records))
        #expect(history.records.map(\.record) == records)
        #expect(
            history.records.enumerated().allSatisfy { Journals.times($0).line($1.record) == $1 }
        )
        #expect(history.hasEnded && history.ending != nil)
        #expect(history.owesResume == .nothing && !history.owesJob && history.readers.isEmpty)
    }

    @Test func `what is owed follows from how far it came`() throws {
        typealias Owed = (resume: SessionHistory.OwedResume, job: Bool, readers: Int)
        let intent = SessionHistory.OwedResume.intent(
            seenRunning: 5_000_900_000,
            suspending: 5_001_000_000
        )
        func check(_ records: [SessionRecord], _ owed: [Owed]) throws {
            #expect(records.count == owed.count)
            for (count, owed) in zip(1..., owed) {
                let journal = Journals.journal(Array(records.prefix(count)))
                let history = try SessionHistory(journal: journal)
                #expect(history.owesResume == owed.resume, "after \(count) records")
                #expect(history.owesJob == owed.job, "after \(count) records")
                #expect(history.readers.count == owed.readers, "after \(count) records")
            }
        }
        try check(
            Journals.strict,
            [
                (.nothing, false, 0), (intent, false, 0), (.confirmed, false, 0),
                (.confirmed, false, 1), (.confirmed, false, 1), (.confirmed, false, 1),
                (.confirmed, false, 0), (.confirmed, false, 0), (.nothing, false, 0),
                (.nothing, false, 0),
            ]
        )
        try check(
            Journals.brief,
            [
                (.nothing, false, 0), (intent, false, 0), (.confirmed, false, 0),
                (.confirmed, true, 0), (.confirmed, true, 0), (.confirmed, true, 0),
                (.nothing, true, 0), (.nothing, true, 1), (.nothing, true, 1), (.nothing, true, 1),
                (.nothing, true, 0), (.nothing, true, 0), (.nothing, false, 0),
                (.nothing, false, 0),
            ]
        )
    }

    @Test func `the pause is counted from before the suspend to after the resume`() throws {
        func paused(_ records: [SessionRecord]) throws -> UInt64? {
            try SessionHistory(journal: Journals.journal(records)).pausedNanoseconds
        }
        #expect(try paused(Journals.strict) == 7_000_000)
        #expect(try paused(Journals.brief) == 5_000_000)
        #expect(try paused(Journals.recovered) == nil)
        #expect(try paused(Array(Journals.strict.dropLast(2))) == nil)
    }

    private static let isThorough = ProcessInfo.processInfo.environment["GLOVEBOX_SOAK"] != nil

    @Test(arguments: isThorough ? Journals.all : [Journals.brief])
    func `every truncation is a prefix or refused, and none traps`(
        _ records: [SessionRecord]
    ) throws {
        let journal = Journals.journal(records)
        let whole = try SessionHistory(journal: journal)
        let reserved = [UInt8](repeating: 0, count: 500)
        concurrently(8) { part in
            for count in stride(from: part, through: journal.count, by: 8) {
                let part = Array(journal[..<count])
                let lines = part.count { $0 == 0x0A }
                let rest = count / 8 % 2 == 0 ? [] : reserved
                guard let history = try? SessionHistory(journal: part + rest) else {
                    #expect(lines == 0, "cut at byte \(count)")
                    continue
                }
                #expect(lines > 0 && history.records == Array(whole.records[..<lines]))
                #expect(history.opening == whole.opening)
                let torn = part.reversed().prefix { $0 != 0x0A }.count
                #expect(history.tornByteCount == UInt64(torn))
            }
        }
    }

    @Test(arguments: isThorough ? Journals.all : [Journals.recovered])
    func `every change of a byte is refused, but where a line was torn`(
        _ records: [SessionRecord]
    ) throws {
        let journal = Journals.journal(Array(records.prefix(5)))
        let whole = try SessionHistory(journal: journal)
        concurrently(8) { part in
            for position in stride(from: part, to: journal.count + 3, by: 8) {
                let old = position < journal.count ? journal[position] : 0
                let bits = Self.isThorough ? 0..<8 : position % 8..<position % 8 + 1
                let others = bits.map { old ^ 1 << UInt8($0) } + [0, 10]
                for byte in others where byte != old {
                    var changed = journal + [0, 0, 0]
                    changed[position] = byte
                    guard let history = try? SessionHistory(journal: changed) else { continue }
                    // Only a line's newline can be missing, or a first byte of the next be there.
                    let isLost = position == journal.count - 1 && byte == 0
                    let isBegun = position == journal.count && byte == UInt8(ascii: "{")
                    #expect(isLost || isBegun, "byte \(position) changed to \(byte)")
                    let count = isLost ? whole.records.count - 1 : whole.records.count
                    #expect(history.records == Array(whole.records.prefix(count)))
                }
            }
        }
    }

    @Test(arguments: Journals.all)
    func `a line that is moved, removed or repeated is refused`(_ records: [SessionRecord]) {
        let lines = Journals.lines(records)
        for index in lines.indices {
            if index + 1 < lines.count {
                var moved = lines
                moved.swapAt(index, index + 1)
                #expect(refusal { try SessionHistory(journal: Array(moved.joined())) } != nil)
                var removed = lines
                removed.remove(at: index)
                #expect(refusal { try SessionHistory(journal: Array(removed.joined())) } != nil)
            }
            var repeated = lines
            repeated.insert(lines[index], at: index)
            #expect(refusal { try SessionHistory(journal: Array(repeated.joined())) } != nil)
        }
    }

    @Test func `lines of another journal do not fit`() {
        var lines = Journals.lines(Journals.strict)
        var opening = Journals.opening()
        opening.run = DomainRun(uuid: opening.run.uuid, id: 8)
        lines[0] = Journals.lines([.opened(opening)])[0]
        let reason = refusal { try SessionHistory(journal: Array(lines.joined())) }
        #expect(reason == "line 2: it does not follow from the line before it")
    }

    @Test func `a reason names the line`() {
        var journal = Journals.journal(Journals.strict)
        let third = Journals.lines(Journals.strict).prefix(2).joined().count
        journal[third + 100] ^= 1
        #expect(refusal { try SessionHistory(journal: journal) } == "line 3: its sum is wrong")
        #expect(refusal { try SessionHistory(journal: []) } == "it has no complete line")
        let zeros = [UInt8](repeating: 0, count: 65_536)
        #expect(refusal { try SessionHistory(journal: zeros) } == "it has no complete line")
        let large = [UInt8](repeating: 0, count: SessionJournal.bytesMax + 1)
        #expect(refusal { try SessionHistory(journal: large) }?.contains("more than") == true)
    }

    @Test func `what stands after a gap is refused`() {
        let lines = Journals.lines(Journals.strict)
        let gap = lines[0] + [0, 0] + lines[1]
        #expect(refusal { try SessionHistory(journal: gap) }?.contains("after its end") == true)
        let foreign = lines[0] + Array("{\"seq\":2,\"prev\":\"00".utf8)
        let reason = refusal { try SessionHistory(journal: foreign) }
        #expect(reason == "what stands after line 1 is not the beginning of a line")
    }
}
