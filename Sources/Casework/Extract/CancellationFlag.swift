internal import Synchronization

/// Tells an extraction on another thread to stop.
package final class CancellationFlag: Sendable {
    private let flag = Atomic(false)

    /// A flag that is not set.
    package init() {}

    /// Whether it was set.
    package var isSet: Bool { flag.load(ordering: .sequentiallyConsistent) }

    /// Sets it, for good; safe in a signal handler's thread.
    ///
    /// Of two threads that each set one flag and then look at the other's, one sees it set.
    package func set() { flag.store(true, ordering: .sequentiallyConsistent) }
}
