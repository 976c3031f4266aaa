internal import Glibc
internal import Synchronization

/// Turns the signals by which people and systems end a program into a call.
package enum Interruption {
    private static let bodies = Mutex<[@Sendable () -> Void]>([])

    /// Calls `body` once, on a thread of its own, when SIGINT, SIGTERM or SIGHUP arrives.
    ///
    /// Where it is asked for again before ``forget()``, the last one asked for is called. To be called
    /// first before any other thread is started: they inherit that these signals are blocked. A second
    /// signal ends the process at once.
    package static func onFirst(_ body: @escaping @Sendable () -> Void) {
        bodies.withLock { $0.append(body) }
        waiting
    }

    /// Forgets what was asked for last.
    package static func forget() { bodies.withLock { _ = $0.popLast() } }

    /// Waits for a signal, from the first use on.
    private static let waiting: Void = {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&signals, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
        _ = WorkerThread { [signals] in
            var signals = signals
            var received: CInt = 0
            unsafe sigwait(&signals, &received)
            let body = bodies.withLock { $0.last }
            body?()
            unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
            while true { pause() }
        }
    }()
}
