extension FileSystem {
    /// The whole content of a small file, holes as zeros.
    ///
    /// Throws ``DiskError/Reason/outOfRange`` where it is larger than `limit` bytes, and the error
    /// of the first range that cannot be read.
    public func content(of number: UInt64, limit: Int) throws(DiskError) -> [UInt8] {
        let size = try inode(number).size
        guard size <= UInt64(limit) else {
            throw DiskError(
                .outOfRange,
                "inode \(number)",
                "its size is \(size), more than the \(limit) bytes that are read here"
            )
        }
        return try bytes(of: number, in: 0..<size)
    }

    /// The bytes of a file in `range`, which must lie within its size; holes as zeros.
    public func bytes(of number: UInt64, in range: Range<UInt64>) throws(DiskError) -> [UInt8] {
        guard let count = Int(exactly: range.upperBound - range.lowerBound) else {
            throw DiskError(.outOfRange, "inode \(number)", "a range of \(range) is too large")
        }
        var bytes = [UInt8](repeating: 0, count: count)
        for extent in try extents(of: number, in: range) {
            let start = Int(extent.fileOffset - range.lowerBound)
            switch extent.content {
            case .hole, .unwritten:
                continue
            case .unreadable(let error):
                throw error
            case .inline(let content):
                guard content.count == extent.length else {
                    throw DiskError(
                        .inconsistent,
                        "inode \(number)",
                        "inline content of wrong size"
                    )
                }
                bytes.replaceSubrange(start..<(start + content.count), with: content)
            case .volume(let offset):
                var span = bytes.mutableSpan
                var raw = unsafe span.mutableBytes
                var part = raw._mutatingExtracting(start..<(start + Int(extent.length)))
                try volume.read(into: &part, at: offset)
            }
        }
        return bytes
    }
}
