internal import Glibc

/// What can be done with a descriptor without waiting (poll(2)).
package struct Readiness: OptionSet, Sendable {
    package let rawValue: Int16
    package init(rawValue: Int16) { self.rawValue = rawValue }

    /// There is something to read, or the end of it.
    package static let readable = Readiness(rawValue: Int16(POLLIN))
    /// Something can be written.
    package static let writable = Readiness(rawValue: Int16(POLLOUT))
    /// The other side has gone, or the descriptor is in trouble; always looked for.
    package static let ended = Readiness(rawValue: Int16(POLLHUP | POLLERR | POLLNVAL))
}

/// Waits until one of `descriptors` is ready, or until `deadline` of ``monotonicNanoseconds()``.
///
/// Returns the readiness of each, in the same order; all empty where the deadline came first.
package func waitForAny(
    of descriptors: [(number: CInt, wanted: Readiness)],
    deadline: UInt64?
) throws(SystemError) -> [Readiness] {
    var entries = descriptors.map { pollfd(fd: $0.number, events: $0.wanted.rawValue, revents: 0) }
    while true {
        var milliseconds: CInt = -1
        if let deadline {
            let now = monotonicNanoseconds()
            milliseconds = now < deadline ? CInt(clamping: (deadline - now) / 1_000_000 + 1) : 0
        }
        let ready = unsafe poll(&entries, nfds_t(entries.count), milliseconds)
        if ready >= 0 { return entries.map { Readiness(rawValue: $0.revents) } }
        guard errno == EINTR else { throw .last("poll", "") }
    }
}

/// The time `seconds` from now, as ``monotonicNanoseconds()`` counts.
package func deadline(inSeconds seconds: Double) -> UInt64 {
    monotonicNanoseconds() + UInt64(max(0, seconds) * 1_000_000_000)
}

/// Lets the calling thread rest.
package func pauseThread(seconds: Double) { usleep(useconds_t(max(0, seconds) * 1_000_000)) }
