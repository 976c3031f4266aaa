internal import CNBD
internal import Glibc

/// What an export is, as its server said in the handshake; checked, since nobody else has.
package struct NBDFacts: Equatable, Sendable {
    static let allocation = "base:allocation"
    static let depth = "qemu:allocation-depth"
    private static let requestBytesMax: UInt64 = 2 << 20

    /// The size in bytes; fixed from then on.
    package let byteCount: UInt64
    /// Offsets and lengths of requests are multiples of it.
    package let alignment: UInt64
    /// The longest read that is asked for at once; a multiple of ``alignment``.
    package let requestBytes: UInt64
    /// Whether several connections see the same bytes.
    package let allowsSeveralConnections: Bool
    /// Whether replies come in pieces that can carry errors of their own.
    package let hasStructuredReplies: Bool
    /// Whether the server says which bytes are zeros.
    package let tellsAllocation: Bool
    /// Whether the server says which layer bytes come from.
    package let tellsDepth: Bool

    init(_ pointer: OpaquePointer) throws(NBDError) {
        let size = unsafe nbd_get_size(pointer)
        guard size >= 0 else { throw .last() }
        byteCount = UInt64(size)
        let smallest = unsafe nbd_get_block_size(pointer, CInt(LIBNBD_SIZE_MINIMUM))
        let largest = unsafe nbd_get_block_size(pointer, CInt(LIBNBD_SIZE_MAXIMUM))
        guard smallest >= 0, largest >= 0 else { throw .last() }
        // 0 stands for a server that does not say: then 512 is safe, says the protocol, and 1 usual.
        alignment = max(1, UInt64(smallest))
        let most = largest == 0 ? Self.requestBytesMax : UInt64(largest)
        guard alignment & (alignment - 1) == 0, alignment <= 65_536, most >= alignment,
            byteCount % alignment == 0
        else {
            throw NBDError(
                errno: EPROTO,
                message: "the server's sizes make no sense: \(byteCount) bytes in requests of "
                    + "\(alignment) to \(most)"
            )
        }
        requestBytes = min(most, Self.requestBytesMax) / alignment * alignment
        allowsSeveralConnections = unsafe nbd_can_multi_conn(pointer) == 1
        hasStructuredReplies = unsafe nbd_get_structured_replies_negotiated(pointer) == 1
        tellsAllocation = unsafe nbd_can_meta_context(pointer, Self.allocation) == 1
        tellsDepth = unsafe nbd_can_meta_context(pointer, Self.depth) == 1
    }
}

/// The first extent at an offset, of each kind that a server tells.
struct NBDExtents {
    struct Extent {
        let length: UInt32
        let flags: UInt32
    }

    /// Flags of `base:allocation`.
    var allocation: Extent?
    /// Of `qemu:allocation-depth`: 0 nowhere, 1 the top layer, and so on.
    var depth: Extent?

    var readsAsZeros: Bool { (allocation?.flags ?? 0) & UInt32(LIBNBD_STATE_ZERO) != 0 }
}
