internal import CLinux
internal import Glibc

/// Making a tree of files beneath one directory, by descriptors alone.
///
/// No name given here is resolved through a symbolic link, and none can leave the directory. Names
/// are bytes; a path has no `.`, `..`, empty component or NUL, which the caller has checked.
extension FileDescriptor {
    private static let within: PathResolution = [.beneath, .noSymbolicLinks, .noMagicLinks]

    /// Opens the directory at `path` beneath this one, whatever the length of the path.
    package func openDirectory(beneath path: [UInt8]) throws(SystemError) -> FileDescriptor {
        var current = self
        var rest = path[...]
        repeat {
            let part = Self.leadingPart(of: rest)
            rest = rest.dropFirst(part.count).drop { $0 == 0x2F }
            current = try current.open(
                part.isEmpty ? [0x2E] : [UInt8](part),
                O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
                resolve: Self.within,
                describedAs: String(decoding: part, as: UTF8.self)
            )
        } while !rest.isEmpty
        return current
    }

    /// As many whole components as one system call takes (PATH_MAX is 4,096 with its NUL).
    private static func leadingPart(of path: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard path.count > 4_000 else { return path }
        let head = path.prefix(4_000)
        guard let slash = head.lastIndex(of: 0x2F) else { return path }
        return path[..<slash]
    }

    /// Creates the file `name` in this directory for writing, with mode 0600; it must not exist.
    package func createFile(_ name: [UInt8]) throws(SystemError) -> FileDescriptor {
        try open(
            name,
            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
            mode: 0o600,
            resolve: Self.within,
            describedAs: String(decoding: name, as: UTF8.self)
        )
    }

    /// Creates a file in this directory that has no name yet, with mode 0600, for writing.
    ///
    /// Give it a name with ``makeHardLink(_:to:)``; without one it vanishes with its descriptor, even
    /// where the process is killed. Nil where the file system has no unnamed files.
    package func createUnnamedFile() throws(SystemError) -> FileDescriptor? {
        do throws(SystemError) {
            return try open(
                [0x2E],
                Self.unnamed | O_WRONLY,
                mode: 0o600,
                resolve: Self.within,
                describedAs: "a new file"
            )
        } catch {
            guard [EOPNOTSUPP, EISDIR, EINVAL].contains(error.errno) else { throw error }
            return nil
        }
    }

    /// Creates the directory `name` in this directory, with mode 0700; it must not exist.
    package func makeDirectory(_ name: [UInt8]) throws(SystemError) {
        try unsafe call("mkdirat", name) { unsafe mkdirat(number, $0, 0o700) }
    }

    /// Creates the directory at `path`; one that is there already is no error.
    package static func makeDirectory(
        at path: String,
        mode: UInt32 = 0o700
    ) throws(SystemError) {
        let bytes = CommandLineBytes.terminated(path)
        let result = retrying { unsafe mkdir(bytes, mode) }
        guard result == 0 || errno == EEXIST else { throw .last("mkdir", path) }
    }

    /// Creates the symbolic link `name` in this directory; the target is kept as it is.
    package func makeSymbolicLink(_ name: [UInt8], to target: [UInt8]) throws(SystemError) {
        let terminated = target.map { CChar(bitPattern: $0) } + [0]
        try unsafe call("symlinkat", name) { unsafe symlinkat(terminated, number, $0) }
    }

    /// Gives the open `file` another name in this directory, which must not exist.
    package func makeHardLink(_ name: [UInt8], to file: FileDescriptor) throws(SystemError) {
        try unsafe call("linkat", name) { unsafe glovebox_link_descriptor(file.number, number, $0) }
    }

    /// Removes the name of a file in this directory.
    package func removeFile(_ name: [UInt8]) throws(SystemError) {
        try unsafe call("unlinkat", name) { unsafe unlinkat(number, $0, 0) }
    }

    /// Removes an empty directory in this directory.
    package func removeDirectory(_ name: [UInt8]) throws(SystemError) {
        try unsafe call("unlinkat", name) { unsafe unlinkat(number, $0, AT_REMOVEDIR) }
    }

    /// Names a file in this directory without opening it and without following a symbolic link.
    package func openPathOnly(_ name: [UInt8]) throws(SystemError) -> FileDescriptor {
        try open(
            name,
            Self.pathOnly | O_NOFOLLOW,
            resolve: Self.within,
            describedAs: String(decoding: name, as: UTF8.self)
        )
    }

    /// Sets owner and group of a name in this directory, of a symbolic link itself.
    package func setOwner(
        of name: [UInt8],
        user: UInt32,
        group: UInt32
    ) throws(SystemError) {
        try unsafe call("fchownat", name) {
            unsafe fchownat(number, $0, user, group, AT_SYMLINK_NOFOLLOW)
        }
    }

    /// Sets the time of last change of a name in this directory, of a symbolic link itself.
    package func setModified(
        of name: [UInt8],
        seconds: Int64,
        nanoseconds: UInt32
    ) throws(SystemError) {
        let times = Self.times(seconds, nanoseconds)
        try unsafe call("utimensat", name) {
            unsafe utimensat(number, $0, times, AT_SYMLINK_NOFOLLOW)
        }
    }

    private func call(
        _ name: String,
        _ path: [UInt8],
        _ body: (UnsafePointer<CChar>) -> CInt
    ) throws(SystemError) {
        let full = "\(self.path)/\(String(decoding: path, as: UTF8.self))"
        guard !path.contains(0) else { throw SystemError(call: name, path: full, errno: EINVAL) }
        let terminated = path.map { CChar(bitPattern: $0) } + [0]
        let result = retrying {
            unsafe terminated.withUnsafeBufferPointer { bytes -> CInt in
                guard let base = bytes.baseAddress else { return -1 }
                return unsafe body(base)
            }
        }
        guard result == 0 else { throw .last(name, full) }
    }
}

/// Attributes of an open file.
extension FileDescriptor {
    /// Sets the permission bits.
    package func setPermissions(_ permissions: UInt16) throws(SystemError) {
        guard retrying({ fchmod(number, mode_t(permissions)) }) == 0 else {
            throw .last("fchmod", path)
        }
    }

    /// Sets owner and group.
    package func setOwner(user: UInt32, group: UInt32) throws(SystemError) {
        guard retrying({ fchown(number, user, group) }) == 0 else { throw .last("fchown", path) }
    }

    /// Sets the time of last change, and leaves the time of last access.
    package func setModified(seconds: Int64, nanoseconds: UInt32) throws(SystemError) {
        let times = Self.times(seconds, nanoseconds)
        guard retrying({ unsafe futimens(number, times) }) == 0 else {
            throw .last("futimens", path)
        }
    }

    /// Sets an extended attribute.
    package func setExtendedAttribute(_ name: [UInt8], _ value: [UInt8]) throws(SystemError) {
        let terminated = name.map { CChar(bitPattern: $0) } + [0]
        let result = retrying {
            unsafe glovebox_set_attribute(number, terminated, value, value.count)
        }
        guard result == 0 else { throw .last("fsetxattr", path) }
    }

    private static func times(_ seconds: Int64, _ nanoseconds: UInt32) -> [timespec] {
        let omit = (1 << 30) - 2  // UTIME_OMIT, a macro
        return [
            timespec(tv_sec: 0, tv_nsec: omit),
            timespec(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds)),
        ]
    }
}
