internal import Glibc

/// The names in a directory, without `.` and `..`, in no particular order.
///
/// Names that are not UTF-8 are given as ``CommandLineBytes`` carries them.
///
/// No more than `limit` of them are read.
package func directoryNames(
    _ path: String,
    limit: Int = .max
) throws(SystemError) -> [String] {
    guard let stream = unsafe opendir(CommandLineBytes.terminated(path)) else {
        throw .last("opendir", path)
    }
    return unsafe try namesAndClose(stream, path, limit: limit).map { CommandLineBytes.encode($0) }
}

/// The names that an open directory still has to give, without `.` and `..`; closes it.
func namesAndClose(
    _ stream: OpaquePointer,
    _ path: String,
    limit: Int = .max
) throws(SystemError) -> [[UInt8]] {
    defer { _ = unsafe closedir(stream) }
    var names: [[UInt8]] = []
    while names.count < limit {
        errno = 0
        guard let entry = unsafe readdir(stream) else {
            guard errno == 0 else { throw .last("readdir", path) }
            return names
        }
        let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
            unsafe Array(bytes.prefix { $0 != 0 })
        }
        if name != [0x2E], name != [0x2E, 0x2E] { names.append(name) }
    }
    return names
}

extension FileDescriptor {
    /// The names in this directory, whatever it is called by now; no more than `limit` of them.
    package func names(limit: Int) throws(SystemError) -> [String] {
        do throws(SystemError) {
            return try directoryNames("/proc/self/fd/\(number)", limit: limit)
        } catch {
            throw SystemError(call: error.call, path: path, errno: error.errno)
        }
    }
}

/// The entries of a directory with what they lead to, symbolic links followed, in no particular order.
///
/// One system call an entry. Left out is what leads to nothing, or is gone by now; names are given as
/// ``directoryNames(_:)`` gives them.
package func directoryStatuses(
    _ path: String
) throws(SystemError) -> [(name: String, status: FileStatus)] {
    let directory = try FileDescriptor.openDirectory(path)
    var entries: [(name: String, status: FileStatus)] = []
    for name in try directoryNames(path) {
        var raw = stat()
        if unsafe fstatat(directory.number, CommandLineBytes.terminated(name), &raw, 0) == 0 {
            entries.append((name, FileStatus(raw)))
        } else if ![ENOENT, ELOOP, ENOTDIR].contains(errno) {
            throw .last("fstatat", "\(path)/\(name)")
        }
    }
    return entries
}

/// The content of a small file of the host; EFBIG where it has more than `limit` bytes.
package func fileContent(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
    try FileDescriptor.open(path, O_RDONLY).readAll(limit: limit)
}
