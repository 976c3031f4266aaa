internal import Glibc
package import Linux

/// One end of a stream socket between two of our processes, in whole messages.
///
/// A message is its length, 32 bits little-endian, and that many bytes. Not for several threads at
/// once: whoever shares a channel takes turns.
package final class Channel: Sendable {
    /// More than any message has; the other side is not trusted to announce a length.
    package static let messageBytesMax = 16 << 20

    /// The socket.
    package let descriptor: FileDescriptor

    /// Takes over a connected socket.
    package init(_ descriptor: FileDescriptor) { self.descriptor = descriptor }

    /// Sends one message; throws EPIPE where the other side is gone.
    package func send(_ message: [UInt8]) throws(SystemError) {
        guard message.count <= Self.messageBytesMax else { throw error("send", EMSGSIZE) }
        let length = UInt32(message.count)
        try sendAll((0..<4).map { UInt8(truncatingIfNeeded: length >> ($0 * 8)) })
        try sendAll(message)
    }

    /// The next message, or nil where the other side has ended the conversation between two.
    ///
    /// Throws ETIMEDOUT where it is not whole before `deadline` (of ``monotonicNanoseconds()``),
    /// ECONNRESET where the other side ended within it, EMSGSIZE where it is too long.
    package func receive(deadline: UInt64? = nil) throws(SystemError) -> [UInt8]? {
        guard let head = try receive(count: 4, deadline, isFirst: true) else { return nil }
        let length = (0..<4).reduce(0) { $0 | Int(head[$1]) << ($1 * 8) }
        guard length <= Self.messageBytesMax else { throw error("recv", EMSGSIZE) }
        return try receive(count: length, deadline, isFirst: false)
    }

    /// Ends the conversation for both sides, also for a thread that waits for a message.
    package func end() { _ = shutdown(descriptor.number, CInt(SHUT_RDWR)) }

    private func sendAll(_ bytes: [UInt8]) throws(SystemError) {
        var sent = 0
        while sent < bytes.count {
            let done = retrying {
                unsafe bytes.withUnsafeBytes {
                    unsafe Glibc.send(
                        descriptor.number,
                        $0.baseAddress.map { unsafe $0 + sent },
                        bytes.count - sent,
                        CInt(MSG_NOSIGNAL)
                    )
                }
            }
            guard done >= 0 else { throw .last("send", descriptor.path) }
            sent += done
        }
    }

    private func receive(
        count: Int,
        _ deadline: UInt64?,
        isFirst: Bool
    ) throws(SystemError) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var received = 0
        while received < count {
            try wait(until: deadline)
            let done = retrying {
                unsafe bytes.withUnsafeMutableBytes {
                    unsafe recv(
                        descriptor.number,
                        $0.baseAddress.map { unsafe $0 + received },
                        count - received,
                        0
                    )
                }
            }
            guard done >= 0 else { throw .last("recv", descriptor.path) }
            if done == 0 {
                guard isFirst, received == 0 else { throw error("recv", ECONNRESET) }
                return nil
            }
            received += done
        }
        return bytes
    }

    private func wait(until deadline: UInt64?) throws(SystemError) {
        guard let deadline else { return }
        let now = monotonicNanoseconds()
        guard now < deadline else { throw error("recv", ETIMEDOUT) }
        var entry = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
        let milliseconds = CInt(clamping: (deadline - now) / 1_000_000 + 1)
        let ready = retrying { unsafe poll(&entry, 1, milliseconds) }
        guard ready >= 0 else { throw .last("poll", descriptor.path) }
        guard ready > 0 else { throw error("recv", ETIMEDOUT) }
    }

    private func error(_ call: String, _ number: CInt) -> SystemError {
        SystemError(call: call, path: descriptor.path, errno: number)
    }
}

extension Channel {
    /// Two ends that are connected to each other; neither survives an exec.
    package static func pair(named name: String) throws(SystemError) -> (Channel, Channel) {
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw .last("socketpair", name)
        }
        return (
            Channel(FileDescriptor(adopting: ends[0], path: name)),
            Channel(FileDescriptor(adopting: ends[1], path: name))
        )
    }
}
