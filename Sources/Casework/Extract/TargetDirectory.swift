internal import Glibc
internal import Linux

/// The directory that an extraction writes beneath, and the directories in it that are in use.
final class TargetDirectory {
    /// The destination itself.
    let root: FileDescriptor
    private var open: [[UInt8]: FileDescriptor] = [:]
    private var latest: (path: [UInt8], directory: FileDescriptor)

    private static let openMax = 128

    /// Opens the destination, and creates it with mode 0700 where it is missing.
    init(_ path: String) throws(SystemError) {
        try FileDescriptor.makeDirectory(at: path)
        root = try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY)
        latest = ([], root)
    }

    /// The directory that holds `path`, and the last component.
    func parent(of path: [UInt8]) throws(SystemError) -> (FileDescriptor, name: [UInt8]) {
        guard let slash = path.lastIndex(of: 0x2F) else { return (root, path) }
        let name = [UInt8](path[(slash + 1)...])
        if path[..<slash].elementsEqual(latest.path) { return (latest.directory, name) }
        let directory = try directory([UInt8](path[..<slash]))
        return (directory, name)
    }

    private func directory(_ path: [UInt8]) throws(SystemError) -> FileDescriptor {
        if let known = open[path] {
            latest = (path, known)
            return known
        }
        let opened = try root.openDirectory(beneath: path)
        if open.count >= Self.openMax { open.removeAll() }
        open[path] = opened
        latest = (path, opened)
        return opened
    }

    /// Creates the directories above `path` that are missing.
    func makeParents(of path: [UInt8]) throws(SystemError) {
        for (index, byte) in path.enumerated() where byte == 0x2F {
            let (directory, name) = try parent(of: [UInt8](path[..<index]))
            do throws(SystemError) {
                try directory.makeDirectory(name)
            } catch {
                guard error.errno == EEXIST else { throw error }
            }
        }
    }
}

extension SystemError {
    /// Whether it concerns the destination as a whole, so that going on would fail as well.
    var endsExtraction: Bool {
        [ENOSPC, EDQUOT, EROFS, EIO, ENOMEM, EMFILE, ENFILE].contains(errno)
    }
}
