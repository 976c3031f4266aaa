internal import CLinux
internal import Glibc

extension FileDescriptor {
    /// Removes the directory at `path`, which is ours alone, with all in it.
    ///
    /// No symbolic link is followed, nor any mount point passed. Throws where `path` is not a
    /// directory of ours that nobody else can write to, or where something in it could not be
    /// removed; no error where there is nothing at `path`, nor where `unlessInUse` and another has
    /// locked it (``lockAlone()``).
    package static func removeOwnDirectory(
        at path: String,
        unlessInUse: Bool = false
    ) throws(SystemError) {
        let parts = path.split(separator: "/")
        guard path.hasPrefix("/"), let name = parts.last, name != ".", name != ".." else {
            throw SystemError(call: "rmdir", path: path, errno: EINVAL)
        }
        let above = try open(
            "/" + parts.dropLast().joined(separator: "/"),
            pathOnly | O_DIRECTORY
        )
        let last = [UInt8](name.utf8)
        do throws(SystemError) {
            let directory = try above.openForRemoval(last)
            let status = try directory.status()
            guard status.userID == geteuid(), status.permissions & 0o022 == 0 else {
                throw SystemError(call: "rmdir", path: path, errno: EPERM)
            }
            if unlessInUse, try !directory.lockAlone() { return }
            try directory.removeContent(depth: 0)
            try above.removeName(last, isDirectory: true)
        } catch {
            if error.errno != ENOENT { throw error }
        }
    }

    /// Where the symbolic link at `path` leads.
    package static func linkTarget(_ path: String) throws(SystemError) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink(path, &buffer, buffer.count)
        guard count >= 0 else { throw .last("readlink", path) }
        let bytes = buffer[..<count].map { UInt8(bitPattern: $0) }
        guard count < buffer.count, let target = String(validating: bytes, as: UTF8.self) else {
            throw SystemError(call: "readlink", path: path, errno: EILSEQ)
        }
        return target
    }

    private static let depthMax = 64

    private func openForRemoval(_ name: [UInt8]) throws(SystemError) -> FileDescriptor {
        try open(
            name,
            O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
            resolve: [.beneath, .noSymbolicLinks, .noMagicLinks, .noMountPoints],
            describedAs: String(decoding: name, as: UTF8.self)
        )
    }

    private func removeContent(depth: Int) throws(SystemError) {
        guard depth < Self.depthMax else {
            throw SystemError(call: "rmdir", path: path, errno: ELOOP)
        }
        var failure: SystemError?
        for name in try namesForRemoval() {
            do throws(SystemError) {
                try remove(name, depth: depth)
            } catch {
                if error.errno != ENOENT { failure = error }
            }
        }
        if let failure { throw failure }
    }

    private func remove(_ name: [UInt8], depth: Int) throws(SystemError) {
        do throws(SystemError) {
            try removeName(name, isDirectory: false)
        } catch {
            guard error.errno == EISDIR else { throw error }
            let directory = try openForRemoval(name)
            try directory.removeContent(depth: depth + 1)
            try removeName(name, isDirectory: true)
        }
    }

    private func removeName(_ name: [UInt8], isDirectory: Bool) throws(SystemError) {
        let terminated = name.map { CChar(bitPattern: $0) } + [0]
        let flags = isDirectory ? CInt(AT_REMOVEDIR) : 0
        guard retrying({ unsafe unlinkat(number, terminated, flags) }) == 0 else {
            throw .last("unlinkat", "\(path)/\(String(decoding: name, as: UTF8.self))")
        }
    }

    /// The names in this directory, as bytes.
    private func namesForRemoval() throws(SystemError) -> [[UInt8]] {
        let copy = retrying { dup(number) }
        guard copy >= 0 else { throw .last("dup", path) }
        guard let stream = unsafe fdopendir(copy) else {
            let error = SystemError.last("fdopendir", path)
            _ = Glibc.close(copy)
            throw error
        }
        unsafe rewinddir(stream)
        return unsafe try namesAndClose(stream, path)
    }
}
