internal import Glibc

/// The names in a directory, without `.` and `..`, in no particular order.
///
/// Names that are not UTF-8 are given as ``CommandLineBytes`` carries them.
package func directoryNames(_ path: String) throws(SystemError) -> [String] {
    guard let stream = unsafe opendir(CommandLineBytes.terminated(path)) else {
        throw .last("opendir", path)
    }
    defer { _ = unsafe closedir(stream) }
    var names: [String] = []
    while true {
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
}

/// The content of a small file of the host; EFBIG where it has more than `limit` bytes.
package func fileContent(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
    try FileDescriptor.open(path, O_RDONLY).readAll(limit: limit)
}
