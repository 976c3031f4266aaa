internal import CLinux
internal import Glibc

/// What a process does to itself before it becomes another program.
package enum Confinement {
    /// Has the kernel kill this process when the parent's thread that started it ends.
    ///
    /// False where that fails, or where the parent is gone already.
    package static func dieWithParent(_ parent: CInt) -> Bool {
        glovebox_kill_with_parent() == 0 && getppid() == parent
    }

    /// No file grows past `bytes`, and no core is dumped: memory holds the guest's data.
    package static func boundFiles(to bytes: UInt64) -> Bool {
        var files = rlimit(rlim_cur: rlim_t(bytes), rlim_max: rlim_t(bytes))
        var core = rlimit(rlim_cur: 0, rlim_max: 0)
        let hasFiles = unsafe setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &files) == 0
        let hasCore = unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &core) == 0
        return hasFiles && hasCore
    }
}

extension Program {
    /// The real path of this program; nil where /proc does not say it.
    package static var executable: String? { target(ofLink: "/proc/self/exe") }

    /// Where the symbolic link at `path` leads; nil where there is none.
    package static func target(ofLink path: String) -> String? {
        var bytes = [CChar](repeating: 0, count: 4_096)
        let count = unsafe readlink(path, &bytes, bytes.count)
        guard count > 0, count < bytes.count else { return nil }
        return String(validating: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The name by which it was started, without directories.
    package static var name: String {
        let path = CommandLine.arguments.first ?? ""
        return path.split(separator: "/").last.map(String.init) ?? path
    }

    /// Says one line on standard error.
    package static func complain(_ line: String) {
        try? StandardStream.error.write([UInt8]("\(line)\n".utf8))
    }

    /// Becomes the program at `path`; returns only where that fails.
    package static func execute(_ path: String, _ arguments: [[UInt8]]) -> SystemError {
        var list: [UnsafeMutablePointer<CChar>?] = unsafe [strdup(path)]
        for argument in arguments {
            let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: argument.count + 1)
            for (index, byte) in argument.enumerated() { unsafe copy[index] = byte }
            unsafe copy[argument.count] = 0
            unsafe list.append(UnsafeMutableRawPointer(copy).assumingMemoryBound(to: CChar.self))
        }
        unsafe list.append(nil)
        unsafe execv(path, list)
        return .last("execv", path)
    }
}
