internal import CGuestfs
internal import Glibc
internal import Linux

/// What this process does to itself before it becomes QEMU.
enum HypervisorProcess {
    /// Has the kernel kill this process when the parent's thread that started it ends.
    ///
    /// False where that fails, or where the parent is gone already.
    static func dieWithParent(_ parent: CInt) -> Bool {
        glovebox_die_with_parent() == 0 && getppid() == parent
    }

    /// No file grows past `bytes`, and no core is dumped: memory holds the guest's data.
    static func boundFiles(to bytes: UInt64) -> Bool {
        var files = rlimit(rlim_cur: rlim_t(bytes), rlim_max: rlim_t(bytes))
        var core = rlimit(rlim_cur: 0, rlim_max: 0)
        let hasFiles = unsafe setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &files) == 0
        let hasCore = unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &core) == 0
        return hasFiles && hasCore
    }

    /// Becomes the program at `path`; returns only where that fails.
    static func become(_ path: String, _ arguments: [[UInt8]]) -> SystemError {
        unsafe withStrings([[UInt8](path.utf8)] + arguments) { list in
            unsafe execv(path, list)
            return .last("execv", path)
        }
    }

    /// Where the symbolic link at `path` leads; nil where there is none.
    static func target(ofLink path: String) -> String? {
        var bytes = [CChar](repeating: 0, count: 4_096)
        let count = unsafe readlink(path, &bytes, bytes.count)
        guard count > 0, count < bytes.count else { return nil }
        return String(
            validating: bytes[..<count].map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
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
