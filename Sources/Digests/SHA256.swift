internal import CDigest

/// SHA-256 (FIPS 180-4) of bytes that come piece by piece; nettle's, with the processor's own
/// instructions where it has them.
@safe package struct SHA256: Sendable {
    private var state = sha256_ctx()

    /// Nothing hashed yet.
    package init() { unsafe glovebox_sha256_begin(&state) }

    /// Hashes `bytes` after what came before.
    package mutating func update(_ bytes: RawSpan) {
        unsafe bytes.withUnsafeBytes { bytes in
            unsafe glovebox_sha256_add(&state, bytes.baseAddress, bytes.count)
        }
    }

    /// Hashes `bytes` after what came before.
    package mutating func update(_ bytes: [UInt8]) {
        let span = bytes.span
        update(unsafe span.bytes)
    }

    /// Hashes that many zeros, such as those of a hole.
    package mutating func update(zeros count: UInt64) {
        var rest = count
        while rest > 0 {
            let piece = Int(min(rest, UInt64(Self.zeros.count)))
            let span = Self.zeros.span.extracting(..<piece)
            update(unsafe span.bytes)
            rest -= UInt64(piece)
        }
    }

    /// The digest of all that was hashed; the value can go on afterwards.
    package var digest: Digest {
        var copy = state
        var bytes = [UInt8](repeating: 0, count: Digest.byteCount)
        unsafe glovebox_sha256_end(&copy, &bytes)
        return Digest(verified: bytes)
    }

    /// The version of nettle.
    package static var libraryVersion: String {
        "\(glovebox_nettle_major()).\(glovebox_nettle_minor())"
    }

    private static let zeros = [UInt8](repeating: 0, count: 1 << 16)
}
