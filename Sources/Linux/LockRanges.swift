internal import CLinux
internal import Glibc

extension FileDescriptor {
    /// Whether anybody else holds a lock, of either kind, on the byte at `offset` (F_OFD_GETLK).
    ///
    /// An answer is a snapshot, not a hold. Throws where the file system cannot answer.
    package func isLockedByOthers(byteAt offset: Int64) throws(SystemError) -> Bool {
        let result = retrying { glovebox_lock_held(number, offset, 1) }
        guard result >= 0 else { throw .last("fcntl F_OFD_GETLK", path) }
        return result == 1
    }

    /// Takes the whole file or directory for as long as it is open (flock(2)); false where another
    /// has it.
    package func lockAlone() throws(SystemError) -> Bool {
        if retrying({ glovebox_lock_alone(number) }) == 0 { return true }
        if errno == EWOULDBLOCK { return false }
        throw .last("flock", path)
    }

    /// Takes a shared lock on the byte at `offset` for as long as the file is open.
    ///
    /// Returns false where another holds it exclusively. Locks belong to the open file description:
    /// closing another descriptor of the same file does not drop them (fcntl(2), F_OFD_SETLK).
    package func lockShared(byteAt offset: Int64) throws(SystemError) -> Bool {
        let result = retrying { glovebox_lock_set(number, Int16(F_RDLCK), offset, 1) }
        if result == 0 { return true }
        if errno == EAGAIN || errno == EACCES { return false }
        throw .last("fcntl F_OFD_SETLK", path)
    }
}
