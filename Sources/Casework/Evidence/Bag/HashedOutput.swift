internal import Digests
internal import Linux

/// Text on its way to a file, in large writes, hashed.
struct HashedOutput {
    private let file: FileDescriptor
    private var pending: [UInt8] = []
    private var hash = SHA256()
    /// How many bytes there are so far.
    private(set) var byteCount: UInt64 = 0

    private static let writeBytes = 1 << 18

    init(_ file: FileDescriptor) { self.file = file }

    mutating func write(_ bytes: [UInt8]) throws(SystemError) {
        pending += bytes
        byteCount += UInt64(bytes.count)
        if pending.count >= Self.writeBytes { try flush() }
    }

    /// Hands over everything.
    mutating func flush() throws(SystemError) {
        hash.update(pending)
        try file.write(pending)
        pending.removeAll(keepingCapacity: true)
    }

    /// The digest of what was flushed.
    var digest: Digest { hash.digest }
}
