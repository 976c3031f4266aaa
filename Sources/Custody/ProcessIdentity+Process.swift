internal import Glibc
internal import Linux

extension ProcessIdentity {
    /// What became of a process that was to end.
    package enum EndOutcome: Equatable, Sendable {
        /// We have ended it.
        case ended
        /// It had ended before.
        case gone
        /// It runs another program, at this path, and was left alone; empty where that is not told.
        case stranger(String)
        /// It was killed, or could not be, and is still there after two seconds.
        case remains
    }

    private static let secondsToEnd = 2.0
    /// What the kernel adds to the path of a program whose file was replaced.
    private static let deleted = " (deleted)"

    /// The process that has this number now; nil where there is none.
    package init?(of processID: Int32) {
        guard processID > 0, let ticks = ProcessTable.entry(processID)?.startTicks else {
            return nil
        }
        self.init(processID: processID, startTicks: ticks)
    }

    /// This process.
    package static var own: ProcessIdentity {
        let number = OwnProcess.processID
        return ProcessIdentity(of: number) ?? ProcessIdentity(processID: number, startTicks: 0)
    }

    /// Whether it runs; one that only waits for its parent to notice its end does not.
    package var isAlive: Bool {
        guard processID > 0, let entry = ProcessTable.entry(processID) else { return false }
        return entry.startTicks == startTicks && !entry.isZombie
    }

    /// Kills it, where it is this very process and runs one of `programs` (paths free of symbolic
    /// links), and waits for its end.
    ///
    /// A program whose file was replaced while it ran counts as what it was started from.
    package func end(ifProgramIn programs: [String]) -> EndOutcome {
        guard isAlive else { return .gone }
        guard processID != OwnProcess.processID else { return .stranger("") }
        guard let handle = try? ProcessHandle(processID) else { return isAlive ? .remains : .gone }
        // From here on the number cannot pass to another process unnoticed: look again.
        guard isAlive else { return .gone }
        guard let path = try? FileDescriptor.linkTarget("/proc/\(processID)/exe") else {
            return isAlive ? .stranger("") : .gone
        }
        let program = path.hasSuffix(Self.deleted) ? path.dropLast(Self.deleted.count) : path[...]
        guard programs.contains(where: { $0.utf8.elementsEqual(program.utf8) }) else {
            return isAlive ? .stranger(path) : .gone
        }
        let killed = handle.kill()
        guard handle.hasEnded(by: deadline(inSeconds: Self.secondsToEnd)) else { return .remains }
        return killed ? .ended : .gone
    }
}
