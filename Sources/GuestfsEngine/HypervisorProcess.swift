internal import CGuestfs
internal import Glibc
internal import Linux

/// What this process does to itself before it becomes QEMU.
enum HypervisorProcess {
    /// Becomes the program at `path`; returns only where that fails.
    static func become(_ path: String, _ arguments: [[UInt8]]) -> SystemError {
        unsafe withCStrings([[UInt8](path.utf8)] + arguments) { list in
            unsafe execv(path, list)
            return .last("execv", path)
        }
    }

    /// Says one line on standard error.
    static func complain(_ line: String) {
        try? StandardStream.error.write([UInt8]("\(line)\n".utf8))
    }

    private static let endSeconds: UInt64 = 5

    /// The processes that this one has started and has not taken note of the end of.
    static func children() -> Set<pid_t> {
        var children: Set<pid_t> = []
        for thread in (try? directoryNames("/proc/self/task")) ?? [] {
            let path = "/proc/self/task/\(thread)/children"
            guard let list = try? FileDescriptor.open(path, O_RDONLY).readAll(limit: 1 << 16) else {
                continue
            }
            for number in String(decoding: list, as: UTF8.self).split(separator: " ") {
                if let child = pid_t(number.filter(\.isNumber)), child > 1 {
                    children.insert(child)
                }
            }
        }
        return children
    }

    /// Ends all processes that this one has started, at once.
    ///
    /// They stay zombies until whoever started them waits for them, so no number can be another's.
    static func killChildren() {
        for child in children() { kill(child, SIGKILL) }
    }

    /// Ends children of whom nobody else will take note, and takes note of it.
    static func end(_ children: Set<pid_t>) {
        let deadline = monotonicNanoseconds() + endSeconds * 1_000_000_000
        for child in children {
            kill(child, SIGKILL)
            while waitpid(child, nil, WNOHANG) == 0, monotonicNanoseconds() < deadline {
                usleep(1_000)
            }
        }
    }
}
