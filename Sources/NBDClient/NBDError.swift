internal import CNBD
internal import Linux

/// What libnbd, or our time-out, says of a conversation with a server.
package struct NBDError: Error, Equatable, Sendable {
    /// The error number, such as `EIO`; 0 where there is none.
    package let errno: Int32
    /// What happened.
    package let message: String

    init(errno: Int32, message: String) {
        self.errno = errno
        self.message = message
    }

    /// What this thread's last call of libnbd left behind; to be fetched before the next one.
    static func last() -> NBDError {
        let number = nbd_get_errno()
        let text = unsafe nbd_get_error().map { unsafe String(cString: $0) }
        return NBDError(errno: number, message: text ?? "unknown error of libnbd")
    }
}

extension NBDError: CustomStringConvertible {
    /// The message with the symbol of its number.
    package var description: String {
        guard errno != 0 else { return message }
        return "\(message) (\(SystemError(call: "", path: "", errno: errno).name))"
    }
}
