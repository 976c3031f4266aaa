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
    defer { _ = unsafe closedir(stream) }
    var names: [String] = []
    while names.count < limit {
        errno = 0
        guard let entry = unsafe readdir(stream) else {
            guard errno == 0 else { throw .last("readdir", path) }
            return names
        }
        let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
            unsafe CommandLineBytes.encode(bytes.prefix { $0 != 0 })
        }
        if name != ".", name != ".." { names.append(name) }
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

/// The content of a small file of the host; EFBIG where it has more than `limit` bytes.
package func fileContent(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
    try FileDescriptor.open(path, O_RDONLY).readAll(limit: limit)
}
