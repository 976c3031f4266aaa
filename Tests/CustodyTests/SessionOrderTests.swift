import Testing

@testable import Custody

struct SessionOrderTests {
    private static let opening = SessionRecord.opened(Journals.opening())
    private static let records: [SessionRecord] =
        [
            opening, .suspending(seenRunning: 0), .suspended, .exporting, .exported,
            .connected(readers: [Journals.reader]), .mounted, .unmounted, .disconnected,
            .invalidated(reason: ""), .withdrawing, .withdrawn, .resuming,
            .recovering(by: Journals.reader),
        ] + SessionRecord.Resumption.allCases.map { .resumed($0) }
        + SessionRecord.Ending.allCases.map { .ended($0) }

    /// Every state that can be reached, with one way to it.
    private static func reachable(
        _ mode: HoldMode
    ) -> [(order: SessionOrder, way: [SessionRecord])] {
        var found: [(order: SessionOrder, way: [SessionRecord])] = [(SessionOrder(mode), [])]
        var next = 0
        while next < found.count {
            let (order, way) = found[next]
            next += 1
            for record in records {
                var after = order
                guard after.take(record), !found.contains(where: { $0.order == after }) else {
                    continue
                }
                found.append((after, way + [record]))
            }
        }
        return found
    }

    @Test(arguments: HoldMode.allCases)
    func `no way leads past what is owed`(_ mode: HoldMode) {
        let states = Self.reachable(mode)
        #expect(states.count > 5)
        for (order, way) in states {
            let words = Set(way.map { "\($0.event)" })
            #expect(
                order.owesResume
                    == (words.contains("suspending")
                        && words.isDisjoint(with: ["resumed", "ended"]))
            )
            #expect(
                order.owesJob
                    == (words.contains("exporting")
                        && words.isDisjoint(with: ["withdrawn", "ended"]))
            )
            if mode == .asFound { #expect(words.isDisjoint(with: ["suspending", "resuming"])) }
            if mode != .brief { #expect(!words.contains("exporting")) }
            for record in Self.records {
                var after = order
                let isTaken = after.take(record)
                #expect(isTaken || after == order)
                switch record {
                case .opened: #expect(!isTaken)
                case .ended(.rebooted):
                    #expect(isTaken == (words.contains("recovering") && !order.hasEnded))
                case .ended:
                    #expect(isTaken == !(order.hasEnded || order.owesResume || order.owesJob))
                case .suspending, .suspended, .exporting, .exported, .connected, .mounted:
                    let isOver = !words.isDisjoint(with: ["recovering", "invalidated", "ended"])
                    #expect(!(isTaken && isOver))
                case .resuming, .resumed: #expect(!isTaken || order.owesResume)
                case .withdrawing, .withdrawn: #expect(!isTaken || order.owesJob)
                case .recovering, .invalidated: #expect(isTaken == !order.hasEnded)
                case .unmounted, .disconnected: break
                }
            }
        }
    }

    @Test(arguments: HoldMode.allCases)
    func `from everywhere there is a way to an end`(_ mode: HoldMode) {
        for (order, _) in Self.reachable(mode) where !order.hasEnded {
            var order = order
            for record: SessionRecord in [
                .recovering(by: Journals.reader), .withdrawing, .withdrawn, .resuming,
                .resumed(.gone), .ended(.recovered),
            ] { _ = order.take(record) }
            #expect(order.hasEnded)
        }
    }

    @Test(arguments: Journals.all)
    func `an order that no custodian has is refused, however well it is hashed`(
        _ records: [SessionRecord]
    ) {
        func isRefused(_ records: [SessionRecord]) -> Bool {
            refusal { try SessionHistory(journal: Journals.journal(records)) } != nil
        }
        #expect(!isRefused(records))
        #expect(isRefused(records + [.resuming]) && isRefused(records + records.suffix(1)))
        #expect(isRefused(Array(records.dropFirst())))
        #expect(isRefused([records[0]] + records), "opened twice")
        #expect(isRefused([records[0], .suspended]), "suspended without the intent")
        #expect(isRefused([records[0], .exporting]), "exported without a pause")
        #expect(isRefused([records[0], .resuming]) && isRefused([records[0], .resumed(.gone)]))
        #expect(isRefused([records[0], .connected(readers: [])]), "read while it ran")
        for index in records.indices.dropFirst().dropLast() {
            let early = Array(records[..<index]) + [.ended(.finished)]
            let history = try? SessionHistory(journal: Journals.journal(Array(records[..<index])))
            let owes = history.map { $0.owesResume != .nothing || $0.owesJob }
            #expect(isRefused(early) == owes)
        }
        let asFound = [.opened(Journals.opening(.asFound))] + Array(records.dropFirst().prefix(1))
        #expect(isRefused(asFound))
    }
}
