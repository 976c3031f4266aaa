internal import CLinux
internal import Glibc

/// Stream sockets on which nothing waits longer than until a deadline, which
/// ``monotonicNanoseconds()`` counts.
extension FileDescriptor {
    /// A socket that is connected to the server at `path`.
    ///
    /// Throws ETIMEDOUT where the server's queue stays full, ECONNREFUSED where nobody listens,
    /// ENAMETOOLONG where `path` has more bytes than an address holds (107).
    package static func connected(
        to path: String,
        deadline: UInt64
    ) throws(SystemError) -> FileDescriptor {
        guard !path.utf8.contains(0) else {
            throw SystemError(call: "connect", path: path, errno: EINVAL)
        }
        let number = glovebox_stream_socket()
        guard number >= 0 else { throw .last("socket", path) }
        let client = FileDescriptor(adopting: number, path: path)
        while retrying({ unsafe glovebox_connect(number, path) }) != 0 {
            // A Unix socket with a full queue says EAGAIN, and poll(2) says nothing of its queue.
            guard errno == EAGAIN else { throw .last("connect", path) }
            guard monotonicNanoseconds() < deadline else {
                throw SystemError(call: "connect", path: path, errno: ETIMEDOUT)
            }
            pauseThread(seconds: 0.005)
        }
        return client
    }

    /// Sends all bytes.
    ///
    /// Throws ETIMEDOUT where the other side does not take them before `deadline`, and EPIPE where
    /// it has gone. A deadline in the past waits for nothing.
    package func send(_ bytes: [UInt8], deadline: UInt64) throws(SystemError) {
        var sent = 0
        while sent < bytes.count {
            let count = retrying {
                unsafe bytes.withUnsafeBytes { all in
                    let rest = unsafe UnsafeRawBufferPointer(rebasing: all[sent...])
                    let flags = CInt(MSG_NOSIGNAL | MSG_DONTWAIT)
                    return unsafe Glibc.send(number, rest.baseAddress, rest.count, flags)
                }
            }
            if count > 0 { sent += count }
            if sent < bytes.count {
                try goOn(after: count, .writable, deadline, "send")
            }
        }
    }

    /// Fills the whole buffer with what the other side sends.
    ///
    /// Throws ETIMEDOUT where not all of it is there before `deadline`, however steadily it comes,
    /// and ECONNRESET where the other side ends before.
    package func receive(
        into buffer: inout MutableRawSpan,
        deadline: UInt64
    ) throws(SystemError) {
        var received = 0
        while received < buffer.byteCount {
            let count = unsafe buffer.withUnsafeMutableBytes { all in
                let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: all[received...])
                return retrying {
                    unsafe recv(number, rest.baseAddress, rest.count, CInt(MSG_DONTWAIT))
                }
            }
            guard count != 0 else {
                throw SystemError(call: "recv", path: path, errno: ECONNRESET)
            }
            if count > 0 { received += count }
            if received < buffer.byteCount {
                try goOn(after: count, .readable, deadline, "recv")
            }
        }
    }

    /// The next `count` bytes that the other side sends, as ``receive(into:deadline:)`` gives them.
    package func receive(count: Int, deadline: UInt64) throws(SystemError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        try receive(into: &raw, deadline: deadline)
        return bytes
    }

    /// Waits, where the last call moved nothing, until the next one can.
    private func goOn(
        after count: Int,
        _ wanted: Readiness,
        _ deadline: UInt64,
        _ call: String
    ) throws(SystemError) {
        if count > 0 {
            guard monotonicNanoseconds() < deadline else {
                throw SystemError(call: call, path: path, errno: ETIMEDOUT)
            }
            return
        }
        guard errno == EAGAIN else { throw .last(call, path) }
        let ready = try waitForAny(of: [(number, wanted)], deadline: deadline)
        guard ready.contains(where: { !$0.isEmpty }) else {
            throw SystemError(call: call, path: path, errno: ETIMEDOUT)
        }
    }
}
