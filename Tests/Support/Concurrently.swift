internal import Foundation

/// Runs `body` on `count` threads at once, and returns when all are done.
package func concurrently(_ count: Int, _ body: @Sendable (Int) -> Void) {
    DispatchQueue.concurrentPerform(iterations: count) { body($0) }
}
