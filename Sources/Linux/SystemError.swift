internal import CLinux
internal import Glibc

/// A system call that failed: which one, on what, and why.
package struct SystemError: Error, Equatable, Hashable, Sendable {
    /// The system call, such as `openat2`.
    package let call: String
    /// What it was applied to, as a person would name it; empty where nothing has a name.
    package let path: String
    /// The error number, such as `ENOENT`.
    package let errno: CInt

    /// Creates an error of `call` on `path`.
    package init(call: String, path: String, errno: CInt) {
        self.call = call
        self.path = path
        self.errno = errno
    }

    /// The error that the calling thread's last system call left behind.
    ///
    /// To be called before anything else that could change `errno`.
    package static func last(_ call: String, _ path: String) -> SystemError {
        SystemError(call: call, path: path, errno: Glibc.errno)
    }
}

extension SystemError: CustomStringConvertible {
    /// The error's symbol, such as `ENOENT`.
    package var name: String {
        unsafe glovebox_error_name(errno).map { unsafe String(cString: $0) } ?? "error \(errno)"
    }

    /// The reason alone, such as `No such file or directory`.
    package var reason: String {
        unsafe glovebox_error_sentence(errno).map { unsafe String(cString: $0) }
            ?? "unknown error \(errno)"
    }

    /// One sentence: what it concerns, the reason, and the call with its symbol.
    package var description: String {
        path.isEmpty ? "\(reason) (\(call): \(name))" : "\(path): \(reason) (\(call): \(name))"
    }
}
