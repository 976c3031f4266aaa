import Custody
import Testing

@Suite struct CustodyGateTests {
    private static let uuid = "00000000-0000-4000-8000-00000000002a"
    private static let run = DomainRun(uuid: uuid, id: 7)

    private func decide(
        _ state: DomainState,
        _ reason: PauseReason? = nil,
        job: DomainJob = .none,
        saved: Bool = false,
        id: Int32? = 7,
        expecting run: DomainRun? = run,
        mode: HoldMode = .strict
    ) -> CustodyGate.Decision {
        let status = DomainStatus(
            id: id,
            state: state,
            pauseReason: reason,
            job: job,
            hasManagedSave: saved
        )
        return CustodyGate.decide(status, of: Self.uuid, expecting: run, mode: mode)
    }

    @Test(arguments: [HoldMode.strict, .brief])
    func `a domain that runs is held as wanted, a blocked one too`(mode: HoldMode) {
        #expect(decide(.running, mode: mode) == .hold(mode))
        #expect(decide(.blocked, mode: mode) == .hold(mode))
        #expect(decide(.running, expecting: nil, mode: mode) == .hold(mode))
    }

    @Test(arguments: HoldMode.allCases)
    func `what somebody else has paused is left so`(mode: HoldMode) {
        #expect(decide(.paused, .user, mode: mode) == .hold(.asFound))
    }

    @Test func `a domain that is shut off is not held, unless its memory was saved`() {
        #expect(decide(.shutOff, id: nil) == .offline)
        #expect(decide(.shutOff, id: nil, expecting: nil) == .offline)
        expectRefusal(decide(.shutOff, saved: true, id: nil), "saved")
    }

    @Test func `another run, another instance and a run without number are refused`() {
        expectRefusal(decide(.running, id: 8), "restarted")
        expectRefusal(decide(.running, id: nil), "number")
        let other = DomainRun(uuid: "00000000-0000-4000-8000-00000000002b", id: 7)
        expectRefusal(decide(.running, expecting: other), "another instance")
    }

    @Test func `only one that is paused can be held as found`() {
        expectRefusal(decide(.running, mode: .asFound), "runs")
    }

    /// All states, reasons, jobs, modes, with and without saved memory: 8 x 16 x 8 x 3 x 2.
    @Test func `every state is decided, and only what is plainly ours to suspend is held`() {
        var refusals: Set<String> = []
        for state in DomainState.allCases {
            for reason in PauseReason.allCases.map(Optional.some) + [nil] {
                for job in DomainJob.allCases {
                    for mode in HoldMode.allCases {
                        for saved in [false, true] {
                            let decision = decide(state, reason, job: job, saved: saved, mode: mode)
                            let isHeld =
                                job == .none
                                && ((state == .running || state == .blocked) && mode != .asFound
                                    || state == .paused && reason == .user)
                            let isOffline = job == .none && state == .shutOff && !saved
                            switch decision {
                            case .hold: #expect(isHeld)
                            case .offline: #expect(isOffline)
                            case .refuse(let failure):
                                #expect(!isHeld && !isOffline)
                                #expect(failure.code == 6)
                                #expect(failure.message.hasSuffix("."))
                                #expect(failure.advice.hasSuffix("."))
                                refusals.insert(failure.message)
                            }
                        }
                    }
                }
            }
        }
        // A sentence for each job, each reason but the one, each state, and what was saved.
        #expect(refusals.count == 7 + 14 + 1 + 4 + 1)
    }

    @Test(arguments: DomainJob.allCases.filter { $0 != .none })
    func `a job stands in the way of everything`(job: DomainJob) {
        for state in DomainState.allCases {
            let decision = decide(state, .user, job: job)
            guard case .refuse = decision else {
                Issue.record("\(state) with \(job): \(decision)")
                continue
            }
        }
    }

    private func expectRefusal(_ decision: CustodyGate.Decision, _ words: String) {
        guard case .refuse(let failure) = decision else {
            Issue.record("\(decision)")
            return
        }
        #expect(failure.code == 6)
        #expect(failure.message.contains(words), "\(failure.message)")
        #expect(!failure.advice.isEmpty)
    }
}

@Suite struct DomainSightingTests {
    private static let run = DomainRun(uuid: "00000000-0000-4000-8000-00000000002a", id: 7)

    @Test func `only a pause on request in the same run can be ours`() {
        for state in DomainState.allCases {
            for reason in PauseReason.allCases.map(Optional.some) + [nil] {
                for job in DomainJob.allCases {
                    for id in [7, 8, nil] as [Int32?] {
                        let status = DomainStatus(
                            id: id,
                            state: state,
                            pauseReason: reason,
                            job: job
                        )
                        let isOurs =
                            id == 7 && state == .paused && reason == .user
                            && [.none, .backup, .unknown].contains(job)
                        let sighting = DomainSighting(status, of: Self.run)
                        #expect((sighting == .paused) == isOurs)
                        #expect((sighting == .gone) == (id != 7 || state == .shutOff))
                    }
                }
            }
        }
    }
}
