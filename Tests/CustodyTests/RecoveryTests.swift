import Foundation
import Linux
import Testing

@testable import Custody

@Suite(.timeLimit(.minutes(3))) struct RecoveryTests {
    /// The journal of a whole run, line by line, and its session's name.
    private func journal(_ mode: HoldMode) throws -> (name: String, lines: [[UInt8]]) {
        let lab = try HoldLab()
        if mode == .asFound { lab.libvirt.change(.suspend) }
        _ = try lab.converse(mode)
        let name = try #require(try lab.history()?.opening.session)
        let path = "\(lab.state)/sessions/\(name)/journal"
        let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
        lab.end()
        return (name, bytes.split(separator: 0x0A).map { Array($0) + [0x0A] })
    }

    /// A store with one session, whose journal is `bytes`.
    private func plant(_ name: String, _ bytes: [UInt8], in state: String) throws {
        let files = FileManager.default
        let place = "\(state)/sessions/\(name)"
        let modes: [FileAttributeKey: Any] = [.posixPermissions: 0o700]
        try? files.removeItem(atPath: state)
        try files.createDirectory(
            atPath: place,
            withIntermediateDirectories: true,
            attributes: modes
        )
        for each in [state, "\(state)/sessions", place] {
            try files.setAttributes(modes, ofItemAtPath: each)
        }
        #expect(
            files.createFile(
                atPath: "\(place)/journal",
                contents: Data(bytes),
                attributes: [.posixPermissions: 0o600]
            )
        )
    }

    private func recover(
        _ lab: HoldLab,
        session: String? = nil
    ) throws -> [RecoveredSession] {
        _ = try lab.ask(.connect(uri: nil))
        guard
            case .recovered(let sessions)? = try lab.ask(
                .recover(stateDirectory: lab.state, session: session)
            )
        else {
            Issue.record("no answer")
            return []
        }
        return sessions
    }

    /// What may be the case at that point: each list of events, as whether the domain is paused, and
    /// whether a job runs.
    private func worlds(_ history: SessionHistory) -> [(isPaused: Bool, hasJob: Bool)] {
        let events = history.records.map { "\($0.record.event)" }
        let pauses: [Bool] =
            history.owesResume == .nothing
            ? [false]
            : events.contains("suspended") && !events.contains("resuming")
                ? [true] : [false, true]
        let jobs: [Bool] =
            !history.owesJob
            ? [false]
            : events.contains("exported") && !events.contains("withdrawing")
                ? [true] : [false, true]
        return pauses.flatMap { isPaused in jobs.map { (isPaused, $0) } }
    }

    /// Every point at which a custodian can be killed is one between two records: as many as records.
    @Test(arguments: [HoldMode.strict, .brief], [nil, DomainControlError.Kind.connectionLost])
    func `a custodian killed after any record leaves nothing that recovery does not undo`(
        mode: HoldMode,
        fault: DomainControlError.Kind?
    ) throws {
        let (name, lines) = try journal(mode)
        #expect(lines.count == (mode == .strict ? 10 : 14))
        for count in 1...lines.count {
            let history = try SessionHistory(journal: Array(lines.prefix(count).joined()))
            for (isPaused, hasJob) in worlds(history) {
                let comment: Comment = "\(count) records, paused \(isPaused), job \(hasJob)"
                let lab = try HoldLab()
                // Half a line of the next record is nothing.
                let torn = count < lines.count ? Array(lines[count].dropLast(9)) : []
                try plant(name, Array((lines.prefix(count) + [torn]).joined()), in: lab.state)
                if isPaused { lab.libvirt.change(.suspend) }
                let places = ExportPlaces(stateDirectory: lab.state, session: name)
                if hasJob {
                    try places.make(owner: nil)
                    lab.libvirt.state.withState { $0.backup = "<x socket='\(places.socket)'/>" }
                }
                if fault != nil {
                    // The first attempt does not get far; it is repeated.
                    lab.libvirt.setFault { name, number, _ in
                        name == "status" && number == 1 ? .error(.failed) : nil
                    }
                    _ = try recover(lab)
                }
                let sessions = try recover(lab)
                #expect(sessions.allSatisfy { $0.outcome == .recovered }, comment)
                try lab.expectNothingHeld(comment)
                #expect(try recover(lab) == [], comment)
                if !isPaused { #expect(!lab.libvirt.calls.contains("resume"), comment) }
            }
        }
    }

    @Test(arguments: HoldMode.allCases)
    func `recovery never resumes what is not paused by us`(mode: HoldMode) throws {
        let (name, lines) = try journal(mode)
        for count in 1...lines.count {
            let history = try SessionHistory(journal: Array(lines.prefix(count).joined()))
            let lab = try HoldLab()
            try plant(name, Array(lines.prefix(count).joined()), in: lab.state)
            // Paused by somebody else where nothing is owed; in another run where something is.
            if history.owesResume == .nothing {
                lab.libvirt.change(.suspend)
            } else {
                lab.libvirt.change(.restart)
                lab.libvirt.change(.suspend)
            }
            _ = try recover(lab)
            #expect(lab.libvirt.isPaused, "\(count) records")
            #expect(!lab.libvirt.calls.contains("resume"), "\(count) records")
            #expect(try lab.history()?.hasEnded == true)
        }
    }

    @Test func `a job of somebody else is left alone`() throws {
        let (name, lines) = try journal(.brief)
        let lab = try HoldLab()
        try plant(name, Array(lines.prefix(8).joined()), in: lab.state)
        lab.libvirt.state.withState { $0.backup = "<x socket='/run/other'/>" }
        #expect(try recover(lab).map(\.outcome) == [.recovered])
        #expect(lab.libvirt.hasJob)
    }

    @Test func `a domain paused for another reason is reported as held`() throws {
        let (name, lines) = try journal(.strict)
        let lab = try HoldLab()
        try plant(name, Array(lines.prefix(3).joined()), in: lab.state)
        lab.libvirt.change(.ioError)
        #expect(try recover(lab).map(\.outcome) == [.held])
        #expect(!lab.libvirt.calls.contains("resume"))
        // Whoever repairs it makes it one of ours again, or not paused at all.
        lab.libvirt.change(.resume)
        #expect(try recover(lab).map(\.outcome) == [.recovered])
        try lab.expectNothingHeld()
    }

    @Test func `a journal that was tampered with is reported, and nothing is done`() throws {
        let (name, lines) = try journal(.strict)
        let lab = try HoldLab()
        var bytes = Array(lines.prefix(3).joined())
        bytes[lines[0].count + 40] ^= 1
        try plant(name, bytes, in: lab.state)
        lab.libvirt.change(.suspend)
        #expect(try recover(lab).map(\.outcome) == [.refused])
        #expect(lab.libvirt.isPaused)
    }

    /// Whoever waited for its custodian's end asks for it when it may have ended by then.
    @Test func `a session that has ended is recovered for whoever names it`() throws {
        let (name, lines) = try journal(.strict)
        let lab = try HoldLab()
        try plant(name, Array(lines.joined()), in: lab.state)
        let found = try recover(lab, session: name)
        #expect(found.map(\.session) == [name] && found.map(\.outcome) == [.recovered])
        #expect(try recover(lab) == [])
        #expect(!lab.libvirt.calls.contains("resume"))
    }

    /// The beginning of a session's journal, up to the first record of that event.
    private func plant(_ mode: HoldMode, until event: String, in lab: HoldLab) throws {
        let (name, lines) = try journal(mode)
        let history = try SessionHistory(journal: Array(lines.joined()))
        let index = try #require(history.records.firstIndex { "\($0.record.event)" == event })
        try plant(name, Array(lines.prefix(index + 1).joined()), in: lab.state)
    }

    /// libvirt carries out what it was asked for even when whoever asked was killed meanwhile.
    @Test func `a suspend that is still under way is waited for and undone`() throws {
        let lab = try HoldLab()
        try plant(.strict, until: "suspending", in: lab)
        lab.libvirt.state.withState { state in
            state.isOccupied = true
            state.meanwhile = { name, number in name == "status" && number == 40 ? .suspend : nil }
        }
        #expect(try recover(lab).map(\.outcome) == [.recovered])
        #expect(lab.libvirt.isRunning && lab.libvirt.calls.contains("resume"))
    }

    @Test func `while QEMU does not answer libvirt an intent is not forgotten`() throws {
        let lab = try HoldLab()
        try plant(.strict, until: "suspending", in: lab)
        lab.libvirt.state.withState { $0.isOccupied = true }
        #expect(try recover(lab).map(\.outcome) == [.held])
        lab.libvirt.state.withState { $0.isOccupied = false }
        #expect(try recover(lab).map(\.outcome) == [.recovered])
    }

    @Test func `a resume that is refused since another one was under way has succeeded`() throws {
        let lab = try HoldLab()
        try plant(.strict, until: "resuming", in: lab)
        lab.libvirt.change(.suspend)
        lab.libvirt.state.withState { state in
            state.meanwhile = { name, _ in name == "resume" ? .resume : nil }
            state.fault = { name, _, _ in name == "resume" ? .error(.wrongState) : nil }
        }
        #expect(try recover(lab).map(\.outcome) == [.recovered])
        #expect(lab.libvirt.isRunning)
    }

    @Test func `a job that another is just ending is waited for, the pause is not`() throws {
        let lab = try HoldLab()
        try plant(.brief, until: "exported", in: lab)
        lab.libvirt.change(.suspend)
        lab.libvirt.setFault { name, number, _ in
            name == "backupDescription" && number < 5 ? .error(.failed) : nil
        }
        #expect(try recover(lab).map(\.outcome) == [.recovered])
        try lab.expectNothingHeld("a job")
        let calls = lab.libvirt.calls
        let resume = try #require(calls.firstIndex(of: "resume"))
        #expect(calls[resume...].contains("backupDescription"))
    }

    @Test func `a session at work is left alone`() throws {
        let lab = try HoldLab { $0.front = .own }
        _ = try lab.hold(.strict)
        let other = try HoldLab(libvirt: lab.libvirt, state: lab.state)
        #expect(try recover(other).map(\.outcome) == [.active])
        #expect(lab.libvirt.isPaused)
        lab.end()
    }

    /// Whoever was told that it is still held comes here to learn whether it is.
    @Test func `a custodian that cannot let go is no session at work`() throws {
        let lab = try HoldLab { $0.front = HoldLab.nobody }
        _ = try lab.hold(.strict)
        let other = try HoldLab(libvirt: lab.libvirt, state: lab.state)
        let found = try recover(other)
        #expect(found.map(\.outcome) == [.held])
        #expect(found.first?.detail.contains("\(OwnProcess.processID)") == true)
        lab.end()
    }

    @Test func `a guest that its backup job may have stopped is reported until it runs`() throws {
        let lab = try HoldLab()
        try plant(.brief, until: "connected", in: lab)
        lab.libvirt.change(.ioError)
        for _ in 1...2 {
            let found = try recover(lab)
            #expect(found.map(\.outcome) == [.held])
            #expect(found.first?.detail.contains("virsh resume") == true)
        }
        #expect(!lab.libvirt.calls.contains("resume"))
        lab.libvirt.change(.resume)
        #expect(try recover(lab).map(\.outcome) == [.recovered])
        #expect(try lab.history()?.hasEnded == true)
    }

    @Test func `a recovery that is tried for days can still be ended on record`() throws {
        let lab = try HoldLab()
        try plant(.strict, until: "suspended", in: lab)
        lab.libvirt.change(.ioError)
        let store = SessionStore(stateDirectory: lab.state)
        let name = try #require(try store.list().first?.name)
        var session = try store.takeOver(name)
        while try #require(session).history.byteCount <= SessionJournal.attemptBytesMax {
            try session?.append(.recovering(by: .own))
        }
        let full = session?.history.byteCount
        session = nil
        #expect(try recover(lab).map(\.outcome) == [.held])
        #expect(try lab.history()?.byteCount == full)
        lab.libvirt.change(.resume)
        #expect(try recover(lab).map(\.outcome) == [.recovered])
        #expect(try lab.history()?.hasEnded == true)
    }

    @Test func `after the host's restart nothing of it is left`() throws {
        let lab = try HoldLab()
        let records = Journals.strict.prefix(3)
        try plant(Journals.name, Journals.journal(Array(records)), in: lab.state)
        lab.libvirt.change(.suspend)
        let sessions = try recover(lab)
        #expect(sessions.map(\.outcome) == [.recovered])
        #expect(lab.libvirt.isPaused)
        #expect(try lab.history()?.ending == .rebooted)
    }

    @Test func `an intent from long before the suspend does not resume anything`() throws {
        let lab = try HoldLab { $0.times.freshness = 0 }
        let (name, lines) = try journal(.strict)
        try plant(name, Array(lines.prefix(2).joined()), in: lab.state)
        lab.libvirt.change(.suspend)
        #expect(try recover(lab).map(\.outcome) == [.recovered])
        #expect(lab.libvirt.isPaused)
    }

    @Test func `a domain that another libvirt holds is not taken for gone`() throws {
        let (name, lines) = try journal(.brief)
        for count in [2, 5, 10] {
            let lab = try HoldLab()
            try plant(name, Array(lines.prefix(count).joined()), in: lab.state)
            lab.libvirt.state.withState { $0.uri = "qemu+unix:///system?socket=/run/other" }
            lab.libvirt.change(.undefine)
            #expect(try recover(lab).map(\.outcome) == [.held])
            lab.libvirt.state.withState { $0.uri = FakeLibvirt.uri }
            #expect(try recover(lab).map(\.outcome) == [.recovered])
        }
    }

    @Test func `what is left of readers is ended, and strangers are not`() throws {
        let (name, lines) = try journal(.strict)
        let reader = try ChildProcess(.init(program: "/bin/sleep", arguments: ["60"]))
        pauseThread(seconds: 0.05)
        for programs in [[], ["/usr/bin/sleep", "/bin/sleep"]] {
            let lab = try HoldLab { $0.programs = programs }
            try plant(name, Array(lines.prefix(3).joined()), in: lab.state)
            let identity = try #require(ProcessIdentity(of: reader.processID))
            try append(.connected(readers: [identity]), to: name, in: lab)
            lab.libvirt.change(.suspend)
            #expect(try recover(lab).map(\.outcome) == [.recovered])
            try lab.expectNothingHeld()
            #expect(identity.isAlive == programs.isEmpty)
        }
        #expect(reader.ending() == .killed(signal: 9))
    }

    private func append(_ record: SessionRecord, to name: String, in lab: HoldLab) throws {
        let store = SessionStore(stateDirectory: lab.state)
        try #require(try store.takeOver(name)).append(record)
    }
}
