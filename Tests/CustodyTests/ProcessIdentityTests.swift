import Foundation
import Linux
import Testing

@testable import Custody

struct ProcessIdentityTests {
    /// A copy of sleep(1) at work.
    private final class Sleeper {
        let scratch: Scratch
        let program: String
        let child: ChildProcess
        let identity: ProcessIdentity

        init() throws {
            scratch = try Scratch()
            program = scratch.path + "/sleep"
            let original = URL(filePath: "/bin/sleep").resolvingSymlinksInPath().path
            try FileManager.default.copyItem(atPath: original, toPath: program)
            child = try ChildProcess(.init(program: program, arguments: ["60"]))
            identity = try #require(ProcessIdentity(of: child.processID))
        }

        deinit {
            child.kill()
            _ = child.waitUntilEnded(deadline: deadline(inSeconds: 5))
            _ = child.ending()
        }
    }

    @Test func `a process is what its number and its start say`() throws {
        #expect(ProcessIdentity.own.isAlive && ProcessIdentity.own.startTicks > 0)
        #expect(ProcessIdentity(of: OwnProcess.processID) == .own)
        for number in [Int32(0), -1, .min, .max] { #expect(ProcessIdentity(of: number) == nil) }
        #expect(!ProcessIdentity(processID: 0, startTicks: 0).isAlive)
        #expect(!ProcessIdentity(processID: -1, startTicks: 0).isAlive)
        #expect(ProcessIdentity.own.end(ifProgramIn: [try OwnProcess.program()]) == .stranger(""))
    }

    @Test func `a process that runs one of ours is ended`() throws {
        let sleeper = try Sleeper()
        #expect(sleeper.identity.isAlive)
        #expect(sleeper.identity.end(ifProgramIn: ["/x", sleeper.program]) == .ended)
        #expect(!sleeper.identity.isAlive, "one that nobody has noticed to end does not live")
        #expect(sleeper.identity.end(ifProgramIn: [sleeper.program]) == .gone)
    }

    @Test func `a process that started at another time is left alone`() throws {
        let sleeper = try Sleeper()
        for ticks in [sleeper.identity.startTicks - 1, sleeper.identity.startTicks + 1, 0, .max] {
            let other = ProcessIdentity(processID: sleeper.identity.processID, startTicks: ticks)
            #expect(!other.isAlive && other.end(ifProgramIn: [sleeper.program]) == .gone)
        }
        #expect(sleeper.identity.isAlive)
    }

    @Test func `a process that runs another program is left alone`() throws {
        let sleeper = try Sleeper()
        let name = sleeper.program
        for programs in [[], ["/bin/sleep"], [name + "x"], [String(name.dropLast())], ["sleep"]] {
            #expect(sleeper.identity.end(ifProgramIn: programs) == .stranger(name))
        }
        #expect(sleeper.identity.isAlive)
    }

    @Test func `a program that was replaced while it ran counts as what it was`() throws {
        let sleeper = try Sleeper()
        try FileManager.default.removeItem(atPath: sleeper.program)
        let deleted = sleeper.program + " (deleted)"
        #expect(sleeper.identity.end(ifProgramIn: ["/bin/sleep"]) == .stranger(deleted))
        #expect(sleeper.identity.isAlive)
        try Data("new".utf8).write(to: URL(filePath: sleeper.program))
        #expect(sleeper.identity.end(ifProgramIn: [sleeper.program]) == .ended)
    }

    @Test func `the host's start has a name`() throws {
        let name = try BootID.current()
        #expect(SessionForm.isUUID(name))
        #expect(try BootID.current() == name)
    }
}
