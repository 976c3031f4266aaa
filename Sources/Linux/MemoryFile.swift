internal import CLinux
internal import Glibc

extension FileDescriptor {
    /// A file in memory that holds `content`, at its beginning; it has no name that anybody could use.
    ///
    /// For programs that take a file by its path: `/proc/self/fd/N` of an inherited descriptor.
    package static func inMemory(
        _ name: String,
        _ content: [UInt8]
    ) throws(SystemError) -> FileDescriptor {
        let number = unsafe glovebox_memory_file(name)
        guard number >= 0 else { throw .last("memfd_create", name) }
        let file = FileDescriptor(adopting: number, path: name)
        let span = content.span
        try file.write(unsafe span.bytes, at: 0)
        return file
    }
}
