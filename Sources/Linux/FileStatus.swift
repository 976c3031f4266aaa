internal import CLinux
internal import Glibc

/// What fstat(2) says of a file, as far as it is used here.
package struct FileStatus: Equatable, Sendable {
    /// The kind of a file.
    package enum Kind: String, Sendable {
        case regular = "regular file"
        case directory
        case symbolicLink = "symbolic link"
        case characterDevice = "character device"
        case blockDevice = "block device"
        case fifo = "FIFO"
        case socket
        case unknown = "file of unknown kind"
    }

    /// Which file it is, whatever it is called.
    package struct Identity: Hashable, Sendable {
        /// The device that holds it.
        package let device: UInt64
        /// Its inode there.
        package let inode: UInt64

        /// Names an inode of a device.
        package init(device: UInt64, inode: UInt64) {
            self.device = device
            self.inode = inode
        }
    }

    /// Which file it is.
    package let identity: Identity
    /// What kind of file it is.
    package let kind: Kind
    /// Permission bits with setuid, setgid and sticky.
    package let permissions: UInt16
    /// The owner.
    package let userID: UInt32
    /// The owning group.
    package let groupID: UInt32
    /// Number of names.
    package let linkCount: UInt64
    /// Size in bytes.
    package let size: UInt64
    /// Bytes that are allocated for it.
    package let allocatedBytes: UInt64
    /// Time of last change, in nanoseconds since 1970.
    package let modifiedNanoseconds: Int64

    /// Describes a file that need not exist, for tests of what is decided by it.
    package init(kind: Kind, identity: Identity, size: UInt64) {
        self.identity = identity
        self.kind = kind
        self.size = size
        permissions = 0o644
        userID = 0
        groupID = 0
        linkCount = 1
        allocatedBytes = size
        modifiedNanoseconds = 0
    }

    init(_ raw: stat) {
        identity = Identity(device: UInt64(raw.st_dev), inode: UInt64(raw.st_ino))
        kind =
            switch raw.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .directory
            case S_IFLNK: .symbolicLink
            case S_IFCHR: .characterDevice
            case S_IFBLK: .blockDevice
            case S_IFIFO: .fifo
            case S_IFSOCK: .socket
            default: .unknown
            }
        permissions = UInt16(raw.st_mode & 0o7777)
        userID = raw.st_uid
        groupID = raw.st_gid
        linkCount = UInt64(raw.st_nlink)
        size = UInt64(clamping: raw.st_size)
        allocatedBytes = UInt64(clamping: raw.st_blocks) * 512
        modifiedNanoseconds =
            Int64(raw.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(raw.st_mtim.tv_nsec)
    }
}

extension FileDescriptor {
    /// Kind, size and identity of the file (fstat(2)).
    package func status() throws(SystemError) -> FileStatus {
        var raw = stat()
        guard unsafe fstat(number, &raw) == 0 else { throw .last("fstat", path) }
        return FileStatus(raw)
    }

    /// The magic number of the file system that holds the file (fstatfs(2)).
    package func fileSystemMagic() throws(SystemError) -> UInt32 {
        var magic: UInt32 = 0
        let result = retrying { unsafe glovebox_file_system_magic(number, &magic) }
        guard result == 0 else { throw .last("fstatfs", path) }
        return magic
    }

    /// The path by which the kernel knows the file now, free of symbolic links, as
    /// ``CommandLineBytes`` carries it.
    ///
    /// A file that has no name any more gets one that ends in ` (deleted)`.
    package func realPath() throws(SystemError) -> String {
        let link = "/proc/self/fd/\(number)"
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink(link, &buffer, buffer.count)
        guard count >= 0 else { throw .last("readlink", path) }
        guard count < buffer.count else {
            throw SystemError(call: "readlink", path: path, errno: ENAMETOOLONG)
        }
        return CommandLineBytes.encode(buffer[..<count].map { UInt8(bitPattern: $0) })
    }
}
