import Foundation
import Glibc
import TestSupport
import Testing

@testable import Linux

/// Processes: what they start with, how they are known, and that they end.
@Suite struct ProcessTests {
    static func shell(_ script: String, _ more: [String] = []) -> ChildProcess.Plan {
        ChildProcess.Plan(program: "/bin/sh", arguments: ["-c", script] + more)
    }

    /// Runs a plan to its end; what it wrote to its standard output, and how it ended.
    static func run(_ plan: ChildProcess.Plan) throws -> (String, ChildProcess.Ending) {
        var plan = plan
        let (reading, writing) = try FileDescriptor.pipe()
        plan.descriptors[1] = writing
        let process = try ChildProcess(plan)
        plan.descriptors = [:]
        try writing.close()
        let said = try reading.readAll(limit: 1 << 20)
        try #require(process.waitUntilEnded(deadline: deadline(inSeconds: 10)))
        return (String(decoding: said, as: UTF8.self), try #require(process.ending()))
    }

    @Test func `a wait ends with the change that it waits for, or at its deadline`() {
        let monitor = Monitor(0)
        let began = monotonicNanoseconds()
        let end = deadline(inSeconds: 0.05)
        #expect(monitor.wait(until: end) { $0 > 0 ? $0 : nil } == nil)
        #expect(monotonicNanoseconds() >= end)
        #expect(monitor.wait(until: began) { $0 == 0 ? true : nil } == true)
        let thread = WorkerThread {
            pauseThread(seconds: 0.02)
            monitor.update { $0 = 1 }
        }
        #expect(monitor.wait(until: deadline(inSeconds: 60)) { $0 > 0 ? $0 : nil } == 1)
        #expect(monotonicNanoseconds() - began < 30_000_000_000)
        thread.join()
    }

    @Test func `arguments and environment arrive as they are, and nothing else`() throws {
        let odd = [
            "", "a b", "new\nline", "*", "$HOME", "ü", String(repeating: "x", count: 100_000),
        ]
        var plan = Self.shell(#"for a; do printf '%s|' "$a"; done; env"#, ["sh"] + odd)
        plan.environment = ["ONE=1", "TWO=a b"]
        let (said, ending) = try Self.run(plan)
        #expect(ending == .exited(0))
        #expect(said.hasPrefix(odd.joined(separator: "|") + "|"))
        let variables = said.split(separator: "|").last.map { $0.split(separator: "\n") } ?? []
        // The shell itself adds its working directory.
        let given = variables.filter { !$0.hasPrefix("PWD=") }.sorted()
        #expect(given == ["ONE=1", "TWO=a b"])
    }

    @Test func `only the given descriptors are open, under their new numbers`() throws {
        let stray = dup(0)  // without O_CLOEXEC
        defer { close(stray) }
        let (one, two) = (
            try FileDescriptor.open("/etc/passwd", O_RDONLY),
            try FileDescriptor.open("/etc/group", O_RDONLY)
        )
        var plan = Self.shell("for f in /proc/$$/fd/*; do echo ${f##*/}=$(readlink $f); done")
        // Crossed: each takes the number that the other has here.
        plan.descriptors = [
            two.number: one, one.number: two, 700: one,
        ]
        let (said, _) = try Self.run(plan)
        let found = Set(said.split(separator: "\n").map(String.init)).filter {
            !$0.contains("pipe:")
        }
        #expect(
            found == [
                "0=/dev/null", "2=/dev/null", "\(two.number)=/etc/passwd",
                "\(one.number)=/etc/group", "700=/etc/passwd",
            ]
        )
        #expect(try one.status().kind == .regular, "ours stays open")
    }

    @Test func `signals are at their default, and none is blocked`() throws {
        signal(SIGUSR1, SIG_IGN)
        defer { signal(SIGUSR1, SIG_DFL) }
        let (said, _) = try Self.run(Self.shell("grep -E '^Sig(Blk|Ign)' /proc/self/status"))
        for line in said.split(separator: "\n") {
            let mask = UInt64(line.suffix(16), radix: 16)
            // 32 and 33 are the C library's own; it does not let anybody touch them.
            #expect(mask.map { $0 & ~(3 << 31) } == 0, "\(line)")
        }
    }

    @Test func `a program that cannot be started is an error here, with its step`() {
        let missing = #expect(throws: SystemError.self) {
            try ChildProcess(ChildProcess.Plan(program: "/nonexistent/program"))
        }
        #expect(missing?.call == "execve" && missing?.errno == ENOENT)
        let directory = #expect(throws: SystemError.self) {
            try ChildProcess(ChildProcess.Plan(program: "/etc"))
        }
        #expect(directory?.call == "execve" && directory?.errno == EACCES)
    }

    @Test func `an ending is told with its code or its signal, once`() throws {
        #expect(try Self.run(Self.shell("exit 7")).1 == .exited(7))
        #expect(try Self.run(Self.shell("kill -SEGV $$")).1 == .killed(signal: SIGSEGV))
        let process = try ChildProcess(Self.shell("sleep 60"))
        #expect(process.ending() == nil)
        #expect(!process.waitUntilEnded(deadline: deadline(inSeconds: 0.05)))
        process.kill()
        #expect(process.waitUntilEnded(deadline: deadline(inSeconds: 5)))
        #expect(process.ending() == .killed(signal: SIGKILL))
        #expect(process.ending() == .unknown)
        process.kill()
    }

    @Test func `a process can die with the thread that started it, and others do not`() throws {
        for tied in [true, false] {
            let started = Monitor<ChildProcess?>(nil)
            WorkerThread {
                var plan = Self.shell("sleep 60")
                plan.diesWithThread = tied
                let process = try? ChildProcess(plan)
                started.update { $0 = process }
            }.join()
            let process = started.wait { $0 }
            #expect(process.waitUntilEnded(deadline: deadline(inSeconds: tied ? 5 : 0.2)) == tied)
            process.kill()
            _ = process.waitUntilEnded(deadline: nil)
            _ = process.ending()
        }
    }

    @Test func `a session ends with all that came of it, after its leader as before`() throws {
        for leaderFirst in [true, false] {
            var plan = Self.shell("(sleep 61 & sleep 61 & wait) & sleep 61 & echo; wait")
            plan.newSession = true
            let (reading, writing) = try FileDescriptor.pipe()
            plan.descriptors[1] = writing
            let leader = try ChildProcess(plan)
            _ = try reading.readSome(1)
            usleep(100_000)
            func members() throws -> Int {
                try ProcessTable.all().count {
                    $0.session == leader.processID && !$0.isZombie
                }
            }
            #expect(try members() >= 4)
            if leaderFirst {
                leader.kill()
                #expect(leader.waitUntilEnded(deadline: deadline(inSeconds: 5)))
                #expect(try members() >= 3)
            }
            #expect(
                try ProcessTable.endSession(
                    of: leader.processID,
                    deadline: deadline(inSeconds: 5)
                )
            )
            leader.kill()
            #expect(leader.waitUntilEnded(deadline: deadline(inSeconds: 5)))
            _ = leader.ending()
            #expect(try members() == 0)
        }
    }

    @Test func `a process may be called whatever it likes`() {
        let line = Array("42 (x) R 1 1 1) S 7 8 9 0 -1\n".utf8)
        let entry = ProcessTable.entry(42, stat: line)
        #expect(entry?.parentID == 7 && entry?.session == 9 && entry?.isZombie == false)
        for count in 0..<line.count {
            let part = ProcessTable.entry(42, stat: Array(line[..<count]))
            #expect(part == nil || part?.parentID == 7 || part?.parentID == 1)
        }
        #expect(ProcessTable.entry(getpid())?.parentID == getppid())
    }
}

/// What this process does to itself for good, each in a process of its own.
@Suite struct ConfinementTests {
    @Test(.enabled(if: Confinement.kernelVersion != nil, "this kernel has no Landlock"))
    func `a confined process reads what it was allowed, and opens nothing else`() async {
        await #expect(processExitsWith: .exitCode(0)) {
            let inherited = try FileDescriptor.open("/etc/group", O_RDONLY)
            var confinement = Confinement()
            confinement.allowReading("/usr/bin", executing: true)
            confinement.allowReading("/nonexistent")
            confinement.allowReading(inherited: inherited.number)
            try OwnProcess.renouncePrivileges()
            guard try confinement.apply() else { exit(1) }
            func number(_ path: String, _ flags: CInt) -> CInt {
                do throws(SystemError) {
                    _ = try FileDescriptor.open(path, flags)
                    return 0
                } catch {
                    return error.errno
                }
            }
            // The file that was open, by its name as by its descriptor.
            guard number("/etc/group", O_RDONLY) == 0 else { exit(2) }
            guard number("/proc/self/fd/\(inherited.number)", O_RDONLY) == 0 else { exit(3) }
            guard number("/usr/bin/env", O_RDONLY) == 0 else { exit(4) }
            guard number("/etc/passwd", O_RDONLY) == EACCES else { exit(5) }
            guard number("/etc/group", O_WRONLY) == EACCES else { exit(6) }
            guard number("/tmp/glovebox-never", O_WRONLY | O_CREAT) == EACCES else { exit(7) }
            guard number("/usr/bin/../../etc/passwd", O_RDONLY) == EACCES else { exit(8) }
            exit(0)
        }
    }

    @Test func `limits hold`() async {
        await #expect(processExitsWith: .exitCode(0)) {
            try OwnProcess.set(.openFiles(20))
            var files: [FileDescriptor] = []
            do throws(SystemError) {
                while files.count < 30 { files.append(try .open("/dev/null", O_RDONLY)) }
            } catch {
                exit(error.errno == EMFILE ? 0 : 2)
            }
            exit(1)
        }
    }

    @Test func `who loses its parent too early is told`() async {
        await #expect(processExitsWith: .exitCode(0)) {
            try OwnProcess.dieWith(parent: OwnProcess.parentID)
            do throws(SystemError) {
                try OwnProcess.dieWith(parent: OwnProcess.processID)
            } catch {
                exit(error.errno == ESRCH ? 0 : 2)
            }
            exit(1)
        }
    }
}

/// Removing a directory with all that is in it, and nothing that is not.
@Suite struct TreeRemovalTests {
    static func made() throws -> String {
        let path = FileManager.default.temporaryDirectory.path + "/glovebox-removal-\(UUID())"
        try FileDescriptor.makeDirectory(at: path)
        return path
    }

    @Test func `what links lead to stays`() throws {
        let (own, other) = (try Self.made(), try Self.made())
        defer { try? FileManager.default.removeItem(atPath: other) }
        try Data("kept".utf8).write(to: URL(fileURLWithPath: "\(other)/kept"))
        try FileManager.default.createDirectory(
            atPath: "\(own)/a/b/c",
            withIntermediateDirectories: true
        )
        for (link, target) in [("link", other), ("a/file", "\(other)/kept"), ("a/b/up", "../..")] {
            try FileManager.default.createSymbolicLink(
                atPath: "\(own)/\(link)",
                withDestinationPath: target
            )
        }
        try Data("x".utf8).write(to: URL(fileURLWithPath: "\(own)/a/b/c/file"))
        let listening = try FileDescriptor.listening(at: "\(own)/s")
        try FileDescriptor.removeOwnDirectory(at: own)
        withExtendedLifetime(listening) {}
        #expect(!FileManager.default.fileExists(atPath: own))
        #expect(FileManager.default.fileExists(atPath: "\(other)/kept"))
        try FileDescriptor.removeOwnDirectory(at: own)
    }

    @Test func `what is not ours alone is left alone`() throws {
        let own = try Self.made()
        defer { try? FileManager.default.removeItem(atPath: own) }
        try Data("x".utf8).write(to: URL(fileURLWithPath: "\(own)/file"))
        try FileDescriptor.openDirectory(own).setPermissions(0o770)
        #expect(throws: SystemError.self) { try FileDescriptor.removeOwnDirectory(at: own) }
        try FileDescriptor.openDirectory(own).setPermissions(0o700)
        try FileManager.default.createSymbolicLink(
            atPath: "\(own)-link",
            withDestinationPath: own
        )
        defer { try? FileManager.default.removeItem(atPath: "\(own)-link") }
        for path in ["\(own)-link", "\(own)/file", "/", "", "relative", "\(own)/.."] {
            #expect(throws: SystemError.self) { try FileDescriptor.removeOwnDirectory(at: path) }
        }
        #expect(FileManager.default.fileExists(atPath: "\(own)/file"))
    }
}
