import Testing

@testable import Custody

@Suite struct CustodyMachineTests {
    private typealias Event = CustodyMachine.Event

    private static let failure = CustodyFailure(code: 5, "Unsupported.")
    private static let reader = ProcessIdentity(processID: 5, startTicks: 9)

    /// Every event there is, but a record that cannot be written.
    private static let events: [Event] =
        [
            .begin(seenRunning: 1), .suspendReturned(.done), .suspendReturned(.failed("No.")),
            .suspendReturned(.notAsked("No.")), .suspendSeen, .suspendUnconfirmed,
            .exportReturned(nil), .exportReturned(failure), .release, .stopped, .frontGone,
            .stopTimeout, .limit, .failing("Full."), .connectionLost, .connectionRestored,
            .abortReturned(.ended), .abortReturned(.notOurs), .abortReturned(.failed),
            .resumeReturned(isDone: true), .resumeReturned(isDone: false), .retry, .overdue,
            .seen(.running), .seen(.paused), .seen(.otherwise("is odd")), .seen(.gone),
            .domain(.suspended), .domain(.resumed), .domain(.started), .domain(.stopped),
            .domain(.migrated),
            .domain(.crashed), .domain(.rebooted), .domain(.sleeping), .domain(.ioError),
            .domain(.connectionClosed), .domain(.lost),
        ] + HoldStep.allCases.map { .step($0, readers: [reader]) }

    /// All sequences of events, of any length, those that lead to the same world once; and from each
    /// world on, what follows if everybody answers from then on.
    @Test(arguments: HoldMode.allCases)
    func `no sequence of events breaks a rule, and each can be brought to its end`(
        mode: HoldMode
    ) {
        var worlds = [CustodyWorld(mode)]
        var paths: [CustodyWorld: [Step]] = [worlds[0]: []]
        for _ in 1...40 where !worlds.isEmpty {
            var next: [CustodyWorld] = []
            for world in worlds {
                for step in Self.events.map({ Step(event: $0) })
                    + world.bindingIndices.map({ Step(event: .journalFailed, failingAt: $0) })
                {
                    var after = world
                    for rule in after.take(step.event, failingAt: step.failingAt) {
                        let path = (paths[world] ?? []) + [step]
                        Issue.record("\(path.map(\.event)): \(rule)")
                    }
                    after.forgetSentences()
                    guard paths[after] == nil else { continue }
                    paths[after] = (paths[world] ?? []) + [step]
                    next.append(after)
                }
            }
            worlds = next
        }
        #expect(worlds.isEmpty, "there are more than were tried")
        #expect(paths.count > (mode == .asFound ? 400 : 3_000))
        for (world, path) in paths where world.machine.phase != .idle {
            expectFairEnd(of: world, after: path)
        }
    }

    /// An event, or a pending record that cannot be written.
    private struct Step {
        let event: Event
        var failingAt: Int?
    }

    /// libvirt, the front and the clock all answer; then it ends, with nothing left undone.
    private func expectFairEnd(of start: CustodyWorld, after path: [Step]) {
        var world = start
        var broken: [String] = []
        for _ in 0..<20 where !world.machine.hasEnded {
            let answers: [Event] = [
                .connectionRestored, .suspendReturned(.done), .suspendSeen, .exportReturned(nil),
                .release, .stopTimeout, .abortReturned(.ended), .retry,
            ]
            for answer in answers { broken += take(answer, in: &world) }
            broken += take(.resumeReturned(isDone: true), in: &world)
            let sighting: DomainSighting =
                world.isGone ? .gone : world.isPaused ? .paused : .running
            // Somebody else's pause looks like ours.
            let seen = world.machine.mode == .asFound ? .paused : sighting
            broken += take(.seen(seen), in: &world)
        }
        broken += world.finish()
        if !world.hasEnded { broken.append("no end") }
        if world.isPaused { broken.append("still paused by us") }
        if !broken.isEmpty { Issue.record("\(path.map(\.event)): \(broken)") }
    }

    /// Hands an event in, where the machine has asked for it, or asks for nothing of the kind.
    private func take(_ event: Event, in world: inout CustodyWorld) -> [String] {
        var broken = world.finish()
        if CustodyWorld.question(event).map(world.asked.contains) ?? true {
            broken += world.take(event)
        }
        return broken
    }

    @Test func `a strict hold is suspend, record, read, look, resume`() {
        var machine = CustodyMachine(mode: .strict, pauseSecondsMax: 60)
        #expect(
            machine.handle(.begin(seenRunning: 5))
                == [.journal(.suspending(seenRunning: 5), isBinding: true), .suspend]
        )
        #expect(machine.handle(.suspendReturned(.done)) == [.confirmSuspend])
        #expect(
            machine.handle(.suspendSeen)
                == [.journal(.suspended, isBinding: true), .tell(.held)]
        )
        #expect(
            machine.handle(.step(.connected, readers: [Self.reader]))
                == [.journal(.connected(readers: [Self.reader]), isBinding: true), .tell(.noted)]
        )
        #expect(machine.handle(.release) == [.look])
        #expect(
            machine.handle(.seen(.paused)) == [.journal(.resuming, isBinding: false), .resume]
        )
        #expect(machine.handle(.resumeReturned(isDone: true)) == [.confirmRunning])
        #expect(
            machine.handle(.seen(.running))
                == [
                    .journal(.resumed(.confirmed), isBinding: false),
                    .journal(.ended(.finished), isBinding: false),
                    .tell(.released(.finished, .confirmed, isIntact: true)), .end,
                ]
        )
    }

    @Test func `a suspend that was never confirmed is undone, and said to be inferred`() {
        var machine = CustodyMachine(mode: .strict, pauseSecondsMax: 60)
        _ = machine.handle(.begin(seenRunning: 5))
        _ = machine.handle(.suspendReturned(.done))
        #expect(machine.handle(.suspendUnconfirmed) == [.look])
        #expect(
            machine.handle(.seen(.paused)) == [.journal(.resuming, isBinding: false), .resume]
        )
        _ = machine.handle(.resumeReturned(isDone: true))
        let actions = machine.handle(.seen(.running))
        #expect(actions.first == .journal(.resumed(.inferred), isBinding: false))
    }

    @Test func `a domain that runs by itself after a failed suspend is not resumed`() {
        var machine = CustodyMachine(mode: .strict, pauseSecondsMax: 60)
        _ = machine.handle(.begin(seenRunning: 5))
        #expect(machine.handle(.suspendReturned(.failed("No."))) == [.look])
        let actions = machine.handle(.seen(.running))
        #expect(actions.first == .journal(.resumed(.notNeeded), isBinding: false))
        #expect(!actions.contains(.resume))
    }

    @Test func `what somebody else resumed and paused again stays paused`() {
        var machine = CustodyMachine(mode: .strict, pauseSecondsMax: 60)
        for event: Event in [.begin(seenRunning: 5), .suspendReturned(.done), .suspendSeen] {
            _ = machine.handle(event)
        }
        #expect(
            machine.handle(.domain(.resumed))
                == [.tell(.invalidated(.touched("Somebody else resumed it.")))]
        )
        _ = machine.handle(.domain(.suspended))
        let actions = machine.handle(.stopped)
        #expect(!actions.contains(.resume))
        #expect(actions.contains(.journal(.resumed(.notNeeded), isBinding: false)))
        #expect(machine.hasEnded)
    }

    @Test func `a resume is tried again until it works, and the front is told in between`() {
        var machine = CustodyMachine(mode: .strict, pauseSecondsMax: 60)
        let way: [Event] = [
            .begin(seenRunning: 5), .suspendReturned(.done), .suspendSeen, .release, .seen(.paused),
        ]
        for event in way { _ = machine.handle(event) }
        for _ in 0..<100 {
            #expect(machine.handle(.resumeReturned(isDone: false)) == [.retryLater])
            #expect(machine.handle(.retry) == [.look])
            #expect(machine.handle(.seen(.paused)) == [.resume])
        }
        guard case .tell(.failed(let failure))? = machine.handle(.overdue).first else {
            Issue.record("not told")
            return
        }
        #expect(failure.code == 7)
        #expect(machine.handle(.overdue).isEmpty)
        _ = machine.handle(.resumeReturned(isDone: true))
        #expect(machine.handle(.seen(.running)).last == .end)
    }
}
