internal import CLinux

/// The host's syslog.
package enum SystemLog {
    /// Says something to syslog as `glovebox[PID]`, LOG_AUTHPRIV at LOG_NOTICE, and does not wait.
    ///
    /// Returns whether it was taken; where nobody listens, or too slowly, it is lost.
    @discardableResult
    package static func note(_ text: String) -> Bool {
        // RFC 3164 without a time: the receiver knows it, and the host's time zone as well.
        let priority = 10 << 3 | 5
        let line = Array("<\(priority)>glovebox[\(OwnProcess.processID)]: \(text)".utf8)
        return unsafe glovebox_system_log(line, line.count) == 0
    }
}
