internal import Glibc

/// Lets a test decide the outcome of reads of one file, since real disks fail too rarely.
package struct ReadFaults: Sendable {
    /// What happens instead of a read.
    package enum Outcome: Equatable, Sendable {
        /// The call fails with this error number.
        case fails(errno: CInt)
        /// The call delivers this many bytes at most.
        case delivers(atMost: Int)
    }

    /// Decides by offset and count; nil lets the read take place as it is.
    package let outcome: @Sendable (_ offset: UInt64, _ count: Int) -> Outcome?

    /// Creates faults from a decision.
    package init(_ outcome: @escaping @Sendable (UInt64, Int) -> Outcome?) {
        self.outcome = outcome
    }
}

extension FileDescriptor {
    /// Fills the whole buffer with the bytes at `offset`, however many calls that takes.
    ///
    /// Returns how many bytes there were: fewer than asked for only where the file ends.
    package func read(
        into buffer: inout MutableRawSpan,
        at offset: UInt64
    ) throws(SystemError) -> Int {
        let total = buffer.byteCount
        guard let end = Int64(exactly: offset)?.addingReportingOverflow(Int64(total)),
            !end.overflow
        else { throw SystemError(call: "pread", path: path, errno: EINVAL) }
        var done = 0
        while done < total {
            let count = try unsafe buffer.withUnsafeMutableBytes {
                bytes throws(SystemError) -> Int in
                let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[done...])
                return try unsafe readOnce(into: rest, at: offset + UInt64(done))
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Fills `buffer` with the bytes at `offset`; returns how many there were before the file's end.
    package func read(
        into buffer: inout [UInt8],
        at offset: UInt64
    ) throws(SystemError) -> Int {
        var span = buffer.mutableSpan
        var raw = unsafe span.mutableBytes
        return try read(into: &raw, at: offset)
    }

    private func readOnce(
        into bytes: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(SystemError) -> Int {
        var wanted = bytes.count
        switch faults?.outcome(offset, wanted) {
        case .fails(let number)?: throw SystemError(call: "pread", path: path, errno: number)
        case .delivers(let most)?: wanted = min(wanted, max(0, most))
        case nil: break
        }
        if wanted == 0 { return 0 }
        let count = retrying {
            unsafe pread(number, bytes.baseAddress, wanted, off_t(truncatingIfNeeded: offset))
        }
        guard count >= 0 else { throw .last("pread", path) }
        return count
    }

    /// A copy of the file's first bytes, at most `limit`, from the current position on.
    ///
    /// For small files such as settings; throws EFBIG where there is more.
    package func readAll(limit: Int) throws(SystemError) -> [UInt8] {
        var content: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = retrying {
                unsafe piece.withUnsafeMutableBytes {
                    unsafe Glibc.read(number, $0.baseAddress, $0.count)
                }
            }
            guard count >= 0 else { throw .last("read", path) }
            if count == 0 { return content }
            content += piece[..<count]
            guard content.count <= limit else {
                throw SystemError(call: "read", path: path, errno: EFBIG)
            }
        }
    }
}
