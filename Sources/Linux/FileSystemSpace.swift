internal import Glibc

/// The bytes that root may still use on the file system of `path` (statvfs(3)).
package func freeBytes(at path: String) throws(SystemError) -> UInt64 {
    var found = statvfs()
    guard unsafe statvfs(path, &found) == 0 else { throw .last("statvfs", path) }
    return UInt64(found.f_bfree).multipliedReportingOverflow(by: UInt64(found.f_frsize))
        .partialValue
}

extension FileDescriptor {
    /// No send on this socket waits longer than that (SO_SNDTIMEO); EAGAIN is what it gets.
    package func limitSending(seconds: Int) throws(SystemError) {
        var time = timeval(tv_sec: seconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        guard unsafe setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &time, size) == 0 else {
            throw .last("setsockopt", path)
        }
    }
}
