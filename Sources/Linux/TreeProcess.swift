internal import CLinux
internal import Glibc

/// What decides how a tree can be written: who we are.
package enum Privilege {
    /// Whether the process may give files to any owner.
    package static var isRoot: Bool { geteuid() == 0 }
}

/// A clock that only goes forward, in nanoseconds.
package func monotonicNanoseconds() -> UInt64 {
    var now = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(clamping: now.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: now.tv_nsec)
}
