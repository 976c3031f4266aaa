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

    /// Ends all processes that this one has started, at once.
    ///
    /// They stay zombies until whoever started them waits for them, so no number can be another's.
    static func killChildren() {
        for thread in (try? directoryNames("/proc/self/task")) ?? [] {
            let path = "/proc/self/task/\(thread)/children"
            guard let list = try? FileDescriptor.open(path, O_RDONLY).readAll(limit: 1 << 16) else {
                continue
            }
            for number in String(decoding: list, as: UTF8.self).split(separator: " ") {
                if let child = pid_t(number.filter(\.isNumber)), child > 1 { kill(child, SIGKILL) }
            }
        }
    }
}
