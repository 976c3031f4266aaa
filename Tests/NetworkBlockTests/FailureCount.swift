import Synchronization

/// How often something failed, on several threads.
final class FailureCount: Sendable {
    private let value = Mutex(0)

    var count: Int { value.withLock { $0 } }

    func add() { value.withLock { $0 += 1 } }
}
