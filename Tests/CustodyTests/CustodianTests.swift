import Linux
import Testing

@testable import Custody

@Suite(.timeLimit(.minutes(2))) struct CustodianTests {
    private static let reading = ["connected", "mounted", "unmounted", "disconnected"]

    @Test func `a strict hold suspends, is read, and resumes`() throws {
        let lab = try HoldLab()
        let answer = try lab.hold(.strict)
        guard case .held(let held)? = answer else {
            Issue.record("\(answer as Any)")
            return
        }
        #expect(held.mode == .strict && held.facts.description == "<domain/>")
        #expect(held.facts.status.state == .paused)
        #expect(held.deadline > monotonicNanoseconds() && held.deadline < .max)
        #expect(lab.libvirt.isPaused)
        for request in lab.conversation(.strict)[3..<7] {
            #expect(try lab.ask(request) == .noted)
        }
        guard case .released(let release)? = try lab.ask(.release) else {
            Issue.record("not released")
            return
        }
        #expect(release.ending == .finished && release.resumption == .confirmed)
        #expect(release.isIntact && release.warnings.isEmpty)
        #expect(release.pausedNanoseconds > 0)
        #expect(
            try lab.events() == ["opened", "suspending", "suspended"] + Self.reading
                + ["resuming", "resumed", "ended"]
        )
        try lab.expectNothingHeld()
        lab.end()
    }

    @Test func `no question is asked twice while an instance waits to be held`() throws {
        let lab = try HoldLab()
        _ = try lab.hold(.strict)
        let calls = lab.libvirt.calls
        let suspend = try #require(calls.firstIndex(of: "suspend"))
        // Looks that come before the event of our suspend are repeated.
        let since = calls[(suspend + 1)...].drop { $0 == "status" }
        #expect(calls[suspend + 1] == "status" && since.elementsEqual(["description"]))
        lab.end()
    }

    @Test func `a brief hold resumes before it is read, and ends its job afterwards`() throws {
        let lab = try HoldLab()
        guard case .held(let held)? = try lab.hold(.brief) else {
            Issue.record("not held")
            return
        }
        #expect(held.deadline == .max && held.exports.map(\.target) == ["vda"])
        #expect(lab.libvirt.isRunning && lab.libvirt.hasJob)
        let xml = lab.libvirt.backup ?? ""
        #expect(xml.contains("socket='\(held.exports[0].socket)'"))
        #expect(xml.contains("<disk name='vdb' backup='no'/>"))
        for request in lab.conversation(.brief)[3..<7] { #expect(try lab.ask(request) == .noted) }
        guard case .released(let release)? = try lab.ask(.release) else {
            Issue.record("not released")
            return
        }
        #expect(release.isIntact && release.ending == .finished)
        #expect(
            try lab.events() == [
                "opened", "suspending", "suspended", "exporting", "exported", "resuming", "resumed",
            ] + Self.reading + ["withdrawing", "withdrawn", "ended"]
        )
        try lab.expectNothingHeld()
    }

    @Test func `what somebody else has paused is read and stays paused`() throws {
        let lab = try HoldLab()
        lab.libvirt.change(.suspend)
        guard case .released(let release)? = try lab.converse(.strict) else {
            Issue.record("not released")
            return
        }
        #expect(release.isIntact && release.resumption == .notNeeded)
        #expect(lab.libvirt.isPaused)
        #expect(!lab.libvirt.calls.contains("suspend") && !lab.libvirt.calls.contains("resume"))
        #expect(try lab.events() == ["opened"] + Self.reading + ["ended"])
    }

    @Test(arguments: HoldMode.allCases)
    func `a front that goes at any message leaves nothing behind`(mode: HoldMode) throws {
        let count = try HoldLab().conversation(mode).count
        for isAnswered in [false, true] {
            for last in 0..<count {
                let lab = try HoldLab()
                if mode == .asFound { lab.libvirt.change(.suspend) }
                for (number, request) in lab.conversation(mode).enumerated().prefix(last + 1) {
                    lab.send(request)
                    if isAnswered || number < last { _ = try lab.report() }
                }
                lab.end()
                if mode == .asFound {
                    #expect(lab.libvirt.isPaused)
                    lab.libvirt.change(.resume)
                }
                try lab.expectNothingHeld("\(mode), message \(last), answered \(isAnswered)")
            }
        }
    }

    @Test func `the longest pause ends the hold, with the front that stops`() throws {
        let lab = try HoldLab()
        _ = try lab.hold(.strict, seconds: 1)
        #expect(try lab.report() == .invalidated(.limit(seconds: 1)))
        guard case .released(let release)? = try lab.ask(.stopped) else {
            Issue.record("not released")
            return
        }
        #expect(release.ending == .limited && !release.isIntact)
        try lab.expectNothingHeld()
    }

    @Test func `a front that does not stop is ended, and what reads for it`() throws {
        let front = try ChildProcess(.init(program: "/bin/sleep", arguments: ["60"]))
        let reader = try ChildProcess(.init(program: "/bin/sleep", arguments: ["60"]))
        pauseThread(seconds: 0.05)
        let lab = try HoldLab {
            $0.front = ProcessIdentity(of: front.processID) ?? HoldLab.nobody
            $0.programs = ["/usr/bin/sleep", "/bin/sleep"]
        }
        _ = try lab.hold(.strict, seconds: 1)
        _ = try lab.ask(.step(.connected, readers: [reader.processID]))
        #expect(try lab.report() == .invalidated(.limit(seconds: 1)))
        guard case .released? = try lab.report() else {
            Issue.record("not released")
            return
        }
        #expect(front.ending() == .killed(signal: 9))
        #expect(reader.ending() == .killed(signal: 9))
        try lab.expectNothingHeld()
    }
}
