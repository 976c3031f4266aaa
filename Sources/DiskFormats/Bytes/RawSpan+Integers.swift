// The only place where raw bytes become integers. Every load is checked against the span first;
// a span that a parser passes down cannot see outside its parent.

extension RawSpan {
    /// The little-endian integer at `offset`.
    @inline(__always)
    package func le<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ type: T.Type,
        at offset: Int
    ) throws(DiskError) -> T {
        guard offset >= 0, byteCount - MemoryLayout<T>.size >= offset else {
            throw truncated(at: offset, needing: MemoryLayout<T>.size)
        }
        return T(
            littleEndian: unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: T.self)
        )
    }

    /// The big-endian integer at `offset`.
    @inline(__always)
    package func be<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ type: T.Type,
        at offset: Int
    ) throws(DiskError) -> T {
        guard offset >= 0, byteCount - MemoryLayout<T>.size >= offset else {
            throw truncated(at: offset, needing: MemoryLayout<T>.size)
        }
        return T(bigEndian: unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: T.self))
    }

    /// The byte at `offset`.
    @inline(__always)
    package func u8(at offset: Int) throws(DiskError) -> UInt8 { try le(UInt8.self, at: offset) }
    /// The little-endian 16-bit integer at `offset`.
    @inline(__always)
    package func u16(at offset: Int) throws(DiskError) -> UInt16 { try le(UInt16.self, at: offset) }
    /// The little-endian 32-bit integer at `offset`.
    @inline(__always)
    package func u32(at offset: Int) throws(DiskError) -> UInt32 { try le(UInt32.self, at: offset) }
    /// The little-endian 64-bit integer at `offset`.
    @inline(__always)
    package func u64(at offset: Int) throws(DiskError) -> UInt64 { try le(UInt64.self, at: offset) }

    /// A copy of `count` bytes at `offset`.
    package func array(at offset: Int, count: Int) throws(DiskError) -> [UInt8] {
        let part = try slice(at: offset, count: count)
        return unsafe part.withUnsafeBytes { unsafe [UInt8]($0) }
    }

    /// A copy of all bytes.
    package var array: [UInt8] { unsafe withUnsafeBytes { unsafe [UInt8]($0) } }

    /// The `count` bytes at `offset`, as a span that cannot see past them.
    @inline(__always)
    @_lifetime(copy self)
    package func slice(at offset: Int, count: Int) throws(DiskError) -> RawSpan {
        guard offset >= 0, count >= 0, byteCount - count >= offset else {
            throw truncated(at: offset, needing: count)
        }
        return unsafe extracting(unchecked: offset..<(offset + count))
    }

    /// Whether the bytes at `offset` are exactly `expected`; false where they run out.
    package func matches(_ expected: StaticString, at offset: Int) -> Bool {
        let count = expected.utf8CodeUnitCount
        guard offset >= 0, byteCount - count >= offset else { return false }
        for index in 0..<count {
            let byte = unsafe unsafeLoad(fromUncheckedByteOffset: offset + index, as: UInt8.self)
            guard unsafe byte == expected.utf8Start[index] else { return false }
        }
        return true
    }

    @inline(never)
    private func truncated(at offset: Int, needing count: Int) -> DiskError {
        DiskError(
            .truncated,
            "",
            at: UInt64(clamping: offset),
            "\(count) bytes wanted, \(byteCount) in the whole structure"
        )
    }
}

extension MutableRawSpan {
    /// Overwrites the bytes at `offset` with all of `source`; both ends are checked by a trap.
    package mutating func copy(_ source: RawSpan, to offset: Int) {
        precondition(offset >= 0 && byteCount - source.byteCount >= offset)
        guard source.byteCount > 0 else { return }
        unsafe withUnsafeMutableBytes { target in
            unsafe source.withUnsafeBytes { bytes in
                unsafe UnsafeMutableRawBufferPointer(rebasing: target[offset...]).copyMemory(
                    from: bytes
                )
            }
        }
    }

    /// Zeroes `count` bytes at `offset`; both ends are checked by a trap.
    package mutating func zero(_ count: Int, at offset: Int) {
        precondition(offset >= 0 && count >= 0 && byteCount - count >= offset)
        guard count > 0 else { return }
        _ = unsafe withUnsafeMutableBytes { target in
            unsafe UnsafeMutableRawBufferPointer(rebasing: target[offset..<(offset + count)])
                .initializeMemory(as: UInt8.self, repeating: 0)
        }
    }
}

extension Span<UInt8> {
    /// The same bytes untyped, for parsing.
    @inline(__always)
    package var raw: RawSpan {
        // Bytes have no padding, which is all that makes `bytes` unsafe in general.
        @_lifetime(copy self) get { unsafe bytes }
    }
}
