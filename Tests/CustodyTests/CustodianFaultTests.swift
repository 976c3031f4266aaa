import EngineProtocol
import Linux
import Testing

@testable import Custody

@Suite(.timeLimit(.minutes(3))) struct CustodianFaultTests {
    /// The calls of a conversation in which nothing goes wrong.
    private func calls(_ mode: HoldMode) throws -> [String] {
        let lab = try HoldLab()
        _ = try lab.converse(mode)
        return lab.libvirt.calls
    }

    @Test(arguments: [HoldMode.strict, .brief], [false, true])
    func `a connection that is lost at any call is made again, and nothing stays held`(
        mode: HoldMode,
        isDone: Bool
    ) throws {
        for number in 1...(try calls(mode).count) {
            let lab = try HoldLab()
            lab.libvirt.setFault { _, _, all in
                all == number ? isDone ? .lostAfter : .lostBefore : nil
            }
            lab.libvirt.state.withState { $0.refusals = 0 }
            let last = try lab.converse(mode)
            switch last {
            case .released(let release): #expect(!release.isIntact || release.ending == .finished)
            case .failed(let failure): #expect(failure.code == 6)
            default: Issue.record("call \(number): \(last as Any)")
            }
            lab.end()
            try lab.expectNothingHeld("\(mode), call \(number), done \(isDone)")
        }
    }

    @Test(arguments: [HoldMode.strict, .brief])
    func `any call that fails once leaves nothing held`(mode: HoldMode) throws {
        for number in 1...(try calls(mode).count) {
            let lab = try HoldLab()
            lab.libvirt.setFault { _, _, all in all == number ? .error(.failed) : nil }
            _ = try lab.converse(mode)
            lab.end()
            try lab.expectNothingHeld("\(mode), call \(number)")
        }
    }

    @Test func `libvirt that is away for a while is waited for, and the front is told`() throws {
        // Before anybody looks: the connection itself says that it has ended.
        let lab = try HoldLab { $0.times.look = 60 }
        _ = try lab.hold(.strict)
        lab.libvirt.state.withState { $0.refusals = 10_000 }
        lab.libvirt.connections.last?.lose()
        guard case .invalidated(.lost)? = try lab.report() else {
            Issue.record("not told")
            return
        }
        guard case .failed(let failure)? = try lab.ask(.stopped) else {
            Issue.record("not told that it is still held")
            return
        }
        #expect(failure.code == 7)
        lab.front.end()
        #expect(!lab.hasEnded)
        #expect(lab.libvirt.isPaused)
        lab.libvirt.state.withState { $0.refusals = 0 }
        lab.end()
        try lab.expectNothingHeld()
    }

    @Test(arguments: [false, true])
    func `a guest that runs out of room while it is read is said to be stopped`(
        hasSaid: Bool
    ) throws {
        let lab = try HoldLab { $0.times.look = 60 }
        _ = try lab.hold(.brief)
        lab.libvirt.change(.ioError)
        guard case .invalidated? = try lab.report() else {
            Issue.record("not told")
            return
        }
        if hasSaid { lab.libvirt.change(.resume) }
        switch try lab.ask(.stopped) {
        case .failed(let failure):
            #expect(failure.code == 7 && failure.message.contains("virsh resume"))
            #expect(!hasSaid)
        case .released(let release): #expect(hasSaid && !release.isIntact)
        default: Issue.record("no end")
        }
        lab.end()
        #expect(!lab.libvirt.hasJob)
        // What is not over stays on record, so that recovery goes on saying so.
        #expect(try lab.history()?.hasEnded == hasSaid)
    }

    @Test func `a suspend without an event is undone, and said to be inferred`() throws {
        let lab = try HoldLab()
        lab.libvirt.setFault { name, _, _ in name == "suspend" ? .silent : nil }
        guard case .failed(let failure)? = try lab.hold(.strict) else {
            Issue.record("held")
            return
        }
        #expect(failure.code == 6)
        try lab.expectNothingHeld()
        #expect(
            try lab.history()?.records.map(\.record).contains(.resumed(.inferred)) == true
        )
    }

    @Test func `a backup that is unsupported is said so with code 5`() throws {
        let lab = try HoldLab()
        lab.libvirt.setFault { name, _, _ in name == "beginBackup" ? .error(.unsupported) : nil }
        guard case .failed(let failure)? = try lab.hold(.brief) else {
            Issue.record("held")
            return
        }
        #expect(failure.code == 5 && failure.message.contains("unsupported"))
        try lab.expectNothingHeld()
        // The front falls back.
        guard case .held? = try lab.ask(.hold(lab.order(.strict))) else {
            Issue.record("not held afterwards")
            return
        }
        lab.end()
        try lab.expectNothingHeld()
    }

    @Test func `a resume that never works is reported with code 7 and tried on`() throws {
        let lab = try HoldLab()
        _ = try lab.hold(.strict)
        lab.libvirt.setFault { name, _, _ in name == "resume" ? .error(.failed) : nil }
        guard case .failed(let failure)? = try lab.ask(.release) else {
            Issue.record("released")
            return
        }
        #expect(failure.code == 7)
        lab.front.end()
        #expect(!lab.hasEnded)
        #expect(lab.libvirt.isPaused)
        #expect(lab.libvirt.calls.count { $0 == "resume" } > 3)
        lab.libvirt.setFault { _, _, _ in nil }
        lab.end()
        try lab.expectNothingHeld()
    }

    /// What others do during a strict hold, and whether it has to be resumed by us afterwards.
    @Test(arguments: [
        (FakeLibvirt.Change.resume, true), (.reset, true), (.migrate, false), (.stop, false),
        (.restart, true), (.undefine, false),
    ])
    func `what others do to a held domain is told, and nothing is intact`(
        change: FakeLibvirt.Change,
        runsAfterwards: Bool
    ) throws {
        let lab = try HoldLab()
        _ = try lab.hold(.strict)
        lab.libvirt.change(change)
        guard case .invalidated? = try lab.report() else {
            Issue.record("not told")
            return
        }
        let last = try lab.stop()
        if case .migrate = change {
            // Not resumed while it migrates; afterwards it is ours again.
            guard case .failed(let failure)? = last else {
                Issue.record("\(last as Any)")
                return
            }
            #expect(failure.code == 7)
            #expect(!lab.libvirt.calls.contains("resume"))
            lab.libvirt.state.withState { $0.job = .none }
            lab.end()
            try lab.expectNothingHeld()
            return
        }
        guard case .released(let release)? = last else {
            Issue.record("\(last as Any)")
            return
        }
        #expect(!release.isIntact && release.ending == .invalidated)
        #expect(try lab.history()?.hasEnded == true)
        if runsAfterwards { #expect(lab.libvirt.isRunning) }
    }

    @Test func `what others resumed and paused again is never resumed`() throws {
        let lab = try HoldLab()
        _ = try lab.hold(.strict)
        lab.libvirt.change(.resume)
        lab.libvirt.change(.suspend)
        _ = try lab.report()
        guard case .released(let release)? = try lab.stop() else {
            Issue.record("not released")
            return
        }
        #expect(release.resumption == .notNeeded && !release.isIntact)
        lab.end()
        #expect(lab.libvirt.isPaused)
        #expect(!lab.libvirt.calls.contains("resume"))
    }

    @Test func `somebody else's resume just before ours is noticed at the last look`() throws {
        let lab = try HoldLab { $0.times.look = 60 }
        _ = try lab.hold(.strict)
        let next = lab.libvirt.calls.count { $0 == "status" } + 1
        lab.libvirt.state.withState {
            $0.meanwhile = { name, count in name == "status" && count == next ? .resume : nil }
        }
        guard case .released(let release)? = try lab.ask(.release) else {
            Issue.record("not released")
            return
        }
        #expect(!release.isIntact && release.ending == .invalidated)
        try lab.expectNothingHeld()
    }

    @Test func `a full scratch disk refuses a hold, and ends one before the guest stops`() throws {
        let free = SharedNumber(1 << 20)
        let lab = try HoldLab { $0.freeBytes = { _ in free.value } }
        guard case .failed(let failure)? = try lab.hold(.brief) else {
            Issue.record("held")
            return
        }
        #expect(failure.message.contains("room"))
        try lab.expectNothingHeld()
        free.value = 1 << 30
        guard case .held? = try lab.ask(.hold(lab.order(.brief))) else {
            Issue.record("not held")
            return
        }
        free.value = 1 << 20
        guard case .invalidated(.lost)? = try lab.report() else {
            Issue.record("not told")
            return
        }
        _ = try lab.stop()
        try lab.expectNothingHeld()
    }

    @Test(arguments: [HoldMode.strict, .brief])
    func `a journal that fails at any record keeps nothing suspended`(mode: HoldMode) throws {
        let whole = try HoldLab()
        _ = try whole.converse(mode)
        let events = try whole.events()
        for (number, event) in events.enumerated().dropFirst() {
            for isForGood in [false, true] {
                let lab = try HoldLab {
                    $0.journal = { FailingJournal($0, at: number, isForGood: isForGood) }
                }
                _ = try lab.converse(mode)
                lab.end()
                #expect(lab.libvirt.isRunning && !lab.libvirt.hasJob, "\(event), \(isForGood)")
                if event == "suspending" { #expect(!lab.libvirt.calls.contains("suspend")) }
                if event == "exporting" { #expect(!lab.libvirt.calls.contains("beginBackup")) }
                if !isForGood {
                    try lab.expectNothingHeld("\(mode), \(event)")
                }
            }
        }
    }

    @Test func `a second hold of the same domain is refused, and names the first`() throws {
        let lab = try HoldLab()
        guard case .held(let held)? = try lab.hold(.brief) else {
            Issue.record("not held")
            return
        }
        // As seen by another custodian; the job itself stands in its way, too.
        lab.libvirt.state.withState { $0.backup = nil }
        let other = try HoldLab(libvirt: lab.libvirt, state: lab.state)
        guard case .failed(let failure)? = try other.hold(.strict) else {
            Issue.record("held twice")
            return
        }
        #expect(failure.code == 6)
        #expect(failure.message.contains("\(held.session) of alice since 20"))
        #expect(lab.libvirt.calls.count { $0 == "suspend" } == 1)
    }

    @Test func `a step out of order is refused, and the hold goes on`() throws {
        let lab = try HoldLab()
        _ = try lab.hold(.strict)
        for request in [
            CustodyRequest.step(.mounted, readers: []), .hold(lab.order(.strict)), .list,
        ] {
            guard case .failed(let failure)? = try lab.ask(request) else {
                Issue.record("\(request)")
                return
            }
            #expect(failure.code == 2)
        }
        #expect(lab.libvirt.isPaused)
        guard case .released(let release)? = try lab.ask(.release) else {
            Issue.record("not released")
            return
        }
        #expect(release.isIntact)
        try lab.expectNothingHeld()
    }

    @Test func `a message that makes no sense ends the hold as the front's end does`() throws {
        let lab = try HoldLab()
        _ = try lab.hold(.strict)
        try lab.front.send([99, 1, 2])
        lab.end()
        try lab.expectNothingHeld()
        #expect(try lab.history()?.ending == .abandoned)
    }

    @Test func `a domain that others suspend just before us is not ours`() throws {
        let lab = try HoldLab()
        lab.libvirt.state.withState {
            // Between the session's beginning and the last look before our suspend.
            $0.meanwhile = { name, count in name == "status" && count == 3 ? .suspend : nil }
        }
        guard case .failed(let failure)? = try lab.hold(.strict) else {
            Issue.record("held")
            return
        }
        #expect(failure.code == 6)
        lab.end()
        #expect(lab.libvirt.isPaused)
        #expect(!lab.libvirt.calls.contains("resume") && !lab.libvirt.calls.contains("suspend"))
        #expect(try lab.history()?.ending == .refused)
    }

    @Test func `nothing is suspended where others have just suspended and resumed`() throws {
        let lab = try HoldLab { $0.times.quiet = 0.3 }
        _ = try lab.ask(.connect(uri: nil))
        _ = try lab.ask(.find("instance-0000002a"))
        let blinking = WorkerThread { [libvirt = lab.libvirt] in
            pauseThread(seconds: 0.1)
            libvirt.change(.suspend)
            libvirt.change(.resume)
        }
        guard case .failed(let failure)? = try lab.ask(.hold(lab.order(.strict))) else {
            Issue.record("held")
            return
        }
        blinking.join()
        #expect(failure.message.contains("Somebody else"))
        #expect(!lab.libvirt.calls.contains("suspend"))
        #expect(try lab.history() == nil)
    }
}
