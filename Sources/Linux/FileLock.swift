internal import Glibc

extension FileDescriptor {
    /// How a whole file is locked among the programs that ask (flock(2)).
    package enum WholeFileLock: Sendable {
        /// Several may hold it at once.
        case shared
        /// Nobody else holds it.
        case exclusive
    }

    /// Waits for a lock on the whole file and holds it until ``unlock()``, or until the file is closed
    /// everywhere: also a process that is killed lets go of it.
    package func lock(_ kind: WholeFileLock) throws(SystemError) {
        let operation = kind == .exclusive ? LOCK_EX : LOCK_SH
        guard retrying({ flock(number, operation) }) == 0 else { throw .last("flock", path) }
    }

    /// Takes the whole file or directory for as long as it is open; false where another has it.
    package func lockAlone() throws(SystemError) -> Bool {
        if retrying({ flock(number, LOCK_EX | LOCK_NB) }) == 0 { return true }
        if errno == EWOULDBLOCK { return false }
        throw .last("flock", path)
    }

    /// Whether another has the whole file or directory for itself (``lockAlone()``).
    ///
    /// Whoever wants it at this very moment may be told that it is taken: keep such people out.
    package func isLockedAlone() throws(SystemError) -> Bool {
        if retrying({ flock(number, LOCK_SH | LOCK_NB) }) != 0 {
            if errno == EWOULDBLOCK { return true }
            throw .last("flock", path)
        }
        try unlock()
        return false
    }

    /// Lets go of the lock that ``lock(_:)`` took.
    package func unlock() throws(SystemError) {
        guard retrying({ flock(number, LOCK_UN) }) == 0 else { throw .last("flock", path) }
    }

    /// Opens the file `name` in this directory for reading and writing; an empty one of mode 0600 is
    /// made where there is none.
    ///
    /// No symbolic link is followed and no FIFO is waited for; what kind of file it is remains to be
    /// asked.
    package func openOrCreateFile(_ name: String) throws(SystemError) -> FileDescriptor {
        try open(
            name,
            O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
            mode: 0o600,
            resolve: .noSymbolicLinks
        )
    }

    /// Opens the file `name` in this directory for reading, as ``openOrCreateFile(_:)`` does.
    package func openFile(_ name: String) throws(SystemError) -> FileDescriptor {
        try open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, resolve: .noSymbolicLinks)
    }

    /// Opens a file at `path` for reading, without waiting for the writer of a FIFO.
    package static func openFile(_ path: String) throws(SystemError) -> FileDescriptor {
        try open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
    }

    /// Creates the file `name` in this directory, of mode 0600, which must not be there.
    package func createFile(_ name: String) throws(SystemError) -> FileDescriptor {
        try open(
            name,
            O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW,
            mode: 0o600,
            resolve: .noSymbolicLinks
        )
    }

    /// What bears `name` in this directory now, a symbolic link itself; nil where nothing does.
    package func status(of name: String) throws(SystemError) -> FileStatus? {
        var raw = stat()
        let bytes = CommandLineBytes.terminated(name)
        guard unsafe fstatat(number, bytes, &raw, AT_SYMLINK_NOFOLLOW) == 0 else {
            if errno == ENOENT { return nil }
            throw .last("fstatat", "\(path)/\(name)")
        }
        return FileStatus(raw)
    }

    /// Gives what bears `name` in this directory the further name `other`, which must be free.
    package func link(_ name: String, as other: String) throws(SystemError) {
        let (from, to) = (CommandLineBytes.terminated(name), CommandLineBytes.terminated(other))
        guard unsafe linkat(number, from, number, to, 0) == 0 else {
            throw .last("linkat", "\(path)/\(other)")
        }
    }

    /// Takes the file of that name out of this directory, if it is there.
    package func removeFile(named name: String) throws(SystemError) {
        guard unsafe unlinkat(number, CommandLineBytes.terminated(name), 0) != 0 else { return }
        guard errno == ENOENT else { throw .last("unlinkat", "\(path)/\(name)") }
    }

    /// Renames `name` in this directory to `other`; what bore that name before bears it no more.
    package func rename(_ name: String, over other: String) throws(SystemError) {
        let (from, to) = (CommandLineBytes.terminated(name), CommandLineBytes.terminated(other))
        guard unsafe renameat(number, from, number, to) == 0 else {
            throw .last("renameat", "\(path)/\(other)")
        }
    }
}
