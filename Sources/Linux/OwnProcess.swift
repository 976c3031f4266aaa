internal import CLinux
internal import Glibc

/// What this process says of itself to the kernel.
package enum OwnProcess {
    /// A bound that the kernel keeps (setrlimit(2)).
    package enum Limit: Sendable {
        /// Bytes of address space.
        case addressSpace(UInt64)
        /// Bytes that any file may have that it writes.
        case fileSize(UInt64)
        /// Bytes of memory that a crash leaves on disk.
        case coreSize(UInt64)
        /// Bytes of stack of each new thread.
        case stack(UInt64)
        /// Open files.
        case openFiles(UInt64)
    }

    /// Its number.
    package static var processID: Int32 { getpid() }
    /// The number of the process that started it, or that took it over.
    package static var parentID: Int32 { getppid() }

    /// The user that started it (getuid(2)).
    package static var userID: UInt32 { getuid() }
    /// The user whose rights it has (geteuid(2)).
    package static var effectiveUserID: UInt32 { geteuid() }
    /// The group whose rights it has (getegid(2)).
    package static var effectiveGroupID: UInt32 { getegid() }

    /// The path of its program, free of symbolic links.
    package static func program() throws(SystemError) -> String {
        try FileDescriptor.linkTarget("/proc/self/exe")
    }

    /// A variable of its environment; nil where it is not set, or not UTF-8.
    package static func variable(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(validatingCString: value)
    }

    /// Those of `names` that its environment has, as `NAME=value`.
    package static func variables(_ names: [String]) -> [String] {
        names.compactMap { name in variable(name).map { "\(name)=\($0)" } }
    }

    /// Sets a variable of its environment; for when there is one thread only.
    package static func setVariable(_ name: String, _ value: String) {
        _ = unsafe setenv(name, value, 1)
    }

    /// Has the kernel kill it when `parent` ends; throws ESRCH where that has happened.
    ///
    /// A change of user undoes it. It is the end of the parent's *thread* that counts.
    package static func dieWith(parent: Int32) throws(SystemError) {
        guard glovebox_set_death_signal(SIGKILL) == 0 else { throw .last("prctl", "") }
        guard getppid() == parent else {
            throw SystemError(call: "getppid", path: "", errno: ESRCH)
        }
    }

    /// Nothing that it executes from now on can gain rights.
    package static func renouncePrivileges() throws(SystemError) {
        guard glovebox_set_no_new_privileges() == 0 else {
            throw .last("prctl PR_SET_NO_NEW_PRIVS", "")
        }
    }

    /// Leaves every network, for itself and what it starts; throws EPERM where it may not.
    package static func leaveNetwork() throws(SystemError) {
        guard glovebox_leave_network() == 0 else { throw .last("unshare CLONE_NEWNET", "") }
    }

    /// Its orphaned descendants become its children.
    package static func adoptOrphans() throws(SystemError) {
        guard glovebox_set_child_subreaper() == 0 else {
            throw .last("prctl PR_SET_CHILD_SUBREAPER", "")
        }
    }

    /// Sets a limit, for good.
    package static func set(_ limit: Limit) throws(SystemError) {
        let (resource, value) =
            switch limit {
            case .addressSpace(let bytes): (RLIMIT_AS, bytes)
            case .fileSize(let bytes): (RLIMIT_FSIZE, bytes)
            case .coreSize(let bytes): (RLIMIT_CORE, bytes)
            case .stack(let bytes): (RLIMIT_STACK, bytes)
            case .openFiles(let count): (RLIMIT_NOFILE, count)
            }
        guard glovebox_set_limit(CInt(resource.rawValue), value) == 0 else {
            throw .last("setrlimit", "")
        }
    }

    /// Signals by which a terminal or a person ends programs pass unnoticed.
    package static func ignoreTerminationSignals() {
        for signal in [SIGINT, SIGHUP, SIGTERM, SIGQUIT, SIGPIPE] {
            _ = glovebox_ignore_signal(signal)
        }
    }

    /// Becomes another program, with the descriptors that are open without O_CLOEXEC.
    package static func become(
        _ program: String,
        arguments: [String],
        environment: [String]
    ) throws(SystemError) -> Never {
        unsafe withCStrings([program] + arguments) { arguments in
            unsafe withCStrings(environment) { environment in
                _ = unsafe execve(program, arguments, environment)
            }
        }
        throw .last("execve", program)
    }
}

extension FileDescriptor {
    /// A descriptor that this process was started with.
    package static func inherited(_ number: CInt, _ name: String) -> FileDescriptor {
        FileDescriptor(adopting: number, path: name)
    }

    /// A stream socket that listens at `path`, which must not exist.
    package static func listening(at path: String) throws(SystemError) -> FileDescriptor {
        let number = unsafe glovebox_listen(path)
        guard number >= 0 else { throw .last("bind", path) }
        return FileDescriptor(adopting: number, path: path)
    }

    /// Reads what is there, at most `count` bytes; empty at the end.
    package func readSome(_ count: Int) throws(SystemError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let done = retrying {
            unsafe bytes.withUnsafeMutableBytes {
                unsafe Glibc.read(number, $0.baseAddress, $0.count)
            }
        }
        guard done >= 0 else { throw .last("read", path) }
        bytes.removeLast(count - done)
        return bytes
    }
}
