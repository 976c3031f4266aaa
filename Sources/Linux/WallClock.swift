internal import CLinux
internal import Glibc

/// The time of the day: seconds since 1970-01-01 UTC, and nanoseconds after them.
package func wallClock() -> (seconds: Int64, nanoseconds: UInt32) {
    var now = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &now)
    return (Int64(now.tv_sec), UInt32(clamping: now.tv_nsec))
}

/// What this machine calls itself; empty where it does not say, or not in UTF-8.
package func hostName() -> String {
    var name = [CChar](repeating: 0, count: 256)
    guard unsafe gethostname(&name, name.count - 1) == 0 else { return "" }
    let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(validating: bytes, as: UTF8.self) ?? ""
}
