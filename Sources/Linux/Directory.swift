internal import Glibc

/// The names in a directory, without `.` and `..`, in no particular order.
///
/// Names that are not UTF-8 are given as ``CommandLineBytes`` carries them.
package func directoryNames(_ path: String) throws(SystemError) -> [String] {
    var names: [String] = []
    try eachEntry(of: path) { (_, name) throws(SystemError) in names.append(name) }
    return names
}

/// The entries of a directory with what they lead to, symbolic links followed, in no particular order.
///
/// One system call an entry. Left out is what leads to nothing, or is gone by now; names are given as
/// ``directoryNames(_:)`` gives them.
package func directoryStatuses(
    _ path: String
) throws(SystemError) -> [(name: String, status: FileStatus)] {
    var entries: [(name: String, status: FileStatus)] = []
    try eachEntry(of: path) { (directory, name) throws(SystemError) in
        var raw = stat()
        if unsafe fstatat(directory, CommandLineBytes.terminated(name), &raw, 0) == 0 {
            entries.append((name, FileStatus(raw)))
        } else if ![ENOENT, ELOOP, ENOTDIR].contains(errno) {
            throw .last("fstatat", "\(path)/\(name)")
        }
    }
    return entries
}
private func eachEntry(
    of path: String,
    _ body: (_ directory: CInt, _ name: String) throws(SystemError) -> Void
) throws(SystemError) {
    guard let stream = unsafe opendir(CommandLineBytes.terminated(path)) else {
        throw .last("opendir", path)
    }
    defer { _ = unsafe closedir(stream) }
    while true {
        errno = 0
        guard let entry = unsafe readdir(stream) else {
            guard errno == 0 else { throw .last("readdir", path) }
            return
        }
        let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
            unsafe CommandLineBytes.encode(bytes.prefix { $0 != 0 })
        }
        if name != ".", name != ".." { try body(unsafe dirfd(stream), name) }
    }
}

/// The content of a small file of the host; EFBIG where it has more than `limit` bytes.
package func fileContent(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
    try FileDescriptor.open(path, O_RDONLY).readAll(limit: limit)
}
