internal import CChecksums

/// CRC-32C as ext4, XFS and jbd2 use it: begins with a seed, has no final inversion.
package struct CRC32C: Sendable {
    /// The checksum so far.
    package private(set) var value: UInt32

    /// Begins with `seed`: all ones for a fresh sum, another sum to continue it.
    package init(seed: UInt32 = ~0) { value = seed }

    /// Adds the bytes of `span`.
    package mutating func add(_ span: RawSpan) {
        value = unsafe span.withUnsafeBytes {
            unsafe glovebox_crc32c(value, $0.baseAddress, $0.count)
        }
    }

    /// Adds the bytes of `array`.
    package mutating func add(_ array: [UInt8]) {
        let span = array.span
        add(span.raw)
    }

    /// Adds an integer as its little-endian bytes.
    package mutating func add<T: FixedWidthInteger>(_ integer: T) {
        value = unsafe withUnsafeBytes(of: integer.littleEndian) {
            unsafe glovebox_crc32c(value, $0.baseAddress, $0.count)
        }
    }
}

/// CRC-32 (ISO-HDLC, as zlib and GPT use it) of `span`.
package func crc32(_ span: RawSpan) -> UInt32 {
    unsafe span.withUnsafeBytes { unsafe ~glovebox_crc32(~0, $0.baseAddress, $0.count) }
}
