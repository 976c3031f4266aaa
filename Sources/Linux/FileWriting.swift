internal import Glibc

extension FileDescriptor {
    /// Writes all bytes at the current position, or throws.
    package func write(_ bytes: RawSpan) throws(SystemError) {
        try unsafe writeAll(bytes, call: "write") { rest, _ in
            unsafe Glibc.write(number, rest.baseAddress, rest.count)
        }
    }

    /// Writes all bytes at the current position, or throws.
    package func write(_ bytes: [UInt8]) throws(SystemError) {
        let span = bytes.span
        try write(unsafe span.bytes)
    }

    /// Writes all bytes at `offset`, or throws; the current position stays.
    package func write(_ bytes: RawSpan, at offset: UInt64) throws(SystemError) {
        guard let start = off_t(exactly: offset),
            !start.addingReportingOverflow(off_t(bytes.byteCount)).overflow
        else { throw SystemError(call: "pwrite", path: path, errno: EFBIG) }
        try unsafe writeAll(bytes, call: "pwrite") { rest, done in
            unsafe pwrite(number, rest.baseAddress, rest.count, start + off_t(done))
        }
    }

    /// Writes all bytes at `offset`, or throws; the current position stays.
    package func write(_ bytes: [UInt8], at offset: UInt64) throws(SystemError) {
        let span = bytes.span
        try write(unsafe span.bytes, at: offset)
    }

    /// Sets the size of the file; what lies past the old end reads as zeros.
    package func truncate(to size: UInt64) throws(SystemError) {
        guard let size = off_t(exactly: size) else {
            throw SystemError(call: "ftruncate", path: path, errno: EFBIG)
        }
        guard retrying({ ftruncate(number, size) }) == 0 else { throw .last("ftruncate", path) }
    }

    /// Waits until content and size are on stable storage.
    package func synchronize() throws(SystemError) {
        guard retrying({ fsync(number) }) == 0 else { throw .last("fsync", path) }
    }

    /// Waits until content is on stable storage, and of the attributes what reading it back needs.
    package func synchronizeData() throws(SystemError) {
        guard retrying({ fdatasync(number) }) == 0 else { throw .last("fdatasync", path) }
    }

    /// Has the file system keep room for the first `count` bytes, which the file then has; what was
    /// not written reads as zeros.
    ///
    /// No error where the file system keeps no room for anybody.
    package func reserve(_ count: UInt64) throws(SystemError) {
        guard let count = off_t(exactly: count) else {
            throw SystemError(call: "posix_fallocate", path: path, errno: EFBIG)
        }
        // This one returns its error.
        var result = EINTR
        while result == EINTR { result = posix_fallocate(number, 0, count) }
        guard ![0, EOPNOTSUPP, ENOSYS].contains(result) else { return }
        throw SystemError(call: "posix_fallocate", path: path, errno: result)
    }

    private func writeAll(
        _ bytes: RawSpan,
        call: String,
        _ write: (UnsafeRawBufferPointer, Int) -> Int
    ) throws(SystemError) {
        var done = 0
        while done < bytes.byteCount {
            let count = unsafe bytes.withUnsafeBytes { all in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: all[done...])
                return retrying { unsafe write(rest, done) }
            }
            guard count > 0 else {
                // A write that takes nothing and reports nothing would be repeated for ever.
                throw count < 0
                    ? .last(call, path) : SystemError(call: call, path: path, errno: EIO)
            }
            done += count
        }
    }
}
