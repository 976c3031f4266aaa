package import DiskFormats
package import Linux

/// A file of the host as a block source, read by pread on one descriptor.
///
/// Not mapped into memory: a file that shrinks or fails is an error here, never a signal.
package struct FileSource: BlockSource {
    /// The open file.
    package let descriptor: FileDescriptor
    /// The size that the file had when it was opened.
    package let byteCount: UInt64
    /// What errors call it, such as `layer 1 (/srv/base)`.
    package let name: String

    /// Reads from `descriptor`, of which `byteCount` bytes count.
    package init(_ descriptor: FileDescriptor, byteCount: UInt64, name: String) {
        self.descriptor = descriptor
        self.byteCount = byteCount
        self.name = name
    }

    /// All the bytes, or `unreadable` with the name and the offset.
    package func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        try checkRange(offset, buffer.byteCount)
        let wanted = buffer.byteCount
        let count: Int
        do throws(SystemError) {
            count = try descriptor.read(into: &buffer, at: offset)
        } catch {
            throw DiskError(
                .unreadable,
                name,
                at: offset,
                "reading \(wanted) bytes failed: \(error.reason) (\(error.name))"
            )
        }
        guard count == wanted else {
            throw DiskError(
                .unreadable,
                name,
                at: offset + UInt64(count),
                "the file ends here; it had \(byteCount) bytes when it was opened"
            )
        }
    }

    /// All of it stands in the file.
    package func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        try checkRange(offset, 1)
        guard limit > 0 else { throw DiskError(.truncated, name, at: offset, "no bytes wanted") }
        return BlockRun(
            length: min(limit, byteCount - offset),
            origin: .file(layer: 0, offset: offset)
        )
    }
}
