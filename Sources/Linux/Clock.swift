internal import Glibc

/// The host's clock.
package enum WallClock {
    /// Seconds since 1970-01-01 UTC, and nanoseconds after them (CLOCK_REALTIME).
    package static var now: (seconds: Int64, nanoseconds: UInt32) {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
        return (Int64(time.tv_sec), UInt32(clamping: time.tv_nsec))
    }
}
