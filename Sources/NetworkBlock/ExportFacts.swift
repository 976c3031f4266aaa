/// What an export is, as its server said in the handshake; checked, since nobody else has.
package struct ExportFacts: Equatable, Sendable {
    /// What the protocol has a server take that says nothing of it.
    private static let payloadBytesDefault: UInt64 = 32 << 20
    /// Longer requests gain nothing, and more than one is to be answered within the time-out.
    private static let requestBytesMax: UInt64 = 2 << 20

    /// The size in bytes; fixed from then on.
    package let byteCount: UInt64
    /// Offsets and lengths of requests are multiples of it.
    package let alignment: UInt64
    /// The longest read that is asked for at once; a multiple of ``alignment``.
    package let requestBytes: UInt64
    /// Whether the server lets nobody write; nothing is ever written from here.
    package let isReadOnly: Bool
    /// Whether several connections see the same bytes.
    package let allowsSeveralConnections: Bool
    /// Whether replies come in pieces that can carry errors of their own.
    package let hasStructuredReplies: Bool
    /// Whether the server says which bytes are zeros.
    package let tellsAllocation: Bool

    /// Size constraints, NBD_INFO_BLOCK_SIZE.
    struct Sizes {
        /// Minimum block size: 1 is usual for a server that does not say.
        var minimum: UInt32 = 1
        /// Maximum payload size.
        var payload: UInt64 = payloadBytesDefault
    }

    /// Checks what the server said: the export's size and flags, NBD_INFO_EXPORT, and `sizes`.
    init(
        byteCount: UInt64,
        flags: UInt16,
        sizes: Sizes,
        hasStructuredReplies: Bool,
        tellsAllocation: Bool
    ) throws(ConversationError) {
        let alignment = UInt64(sizes.minimum)
        guard alignment.nonzeroBitCount == 1, alignment <= 65_536, sizes.payload >= alignment,
            byteCount <= UInt64(Int64.max), byteCount % alignment == 0
        else {
            throw .violation(
                "the server's sizes make no sense: \(byteCount) bytes in requests of "
                    + "\(sizes.minimum) to \(sizes.payload)"
            )
        }
        self.byteCount = byteCount
        self.alignment = alignment
        requestBytes = min(sizes.payload, Self.requestBytesMax) / alignment * alignment
        isReadOnly = flags & 1 << 1 != 0
        allowsSeveralConnections = flags & 1 << 8 != 0
        self.hasStructuredReplies = hasStructuredReplies
        self.tellsAllocation = tellsAllocation
    }
}
