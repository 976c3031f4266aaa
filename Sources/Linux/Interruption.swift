internal import Glibc

/// Turns the signals by which people and systems end a program into a call.
package enum Interruption {
    /// Calls `body` once, on a thread of its own, when SIGINT, SIGTERM or SIGHUP arrives.
    ///
    /// Call it before any other thread is started: they inherit that these signals are blocked. A
    /// second signal ends the process at once.
    package static func onFirst(_ body: @escaping @Sendable () -> Void) {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&signals, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
        _ = WorkerThread { [signals] in
            var signals = signals
            var received: CInt = 0
            unsafe sigwait(&signals, &received)
            body()
            unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
            while true { pause() }
        }
    }
}
