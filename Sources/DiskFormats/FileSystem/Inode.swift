/// The type of a file, as `stat` distinguishes them.
public enum FileType: String, Sendable, CaseIterable {
    /// An ordinary file.
    case regular = "file"
    /// A directory.
    case directory
    /// A symbolic link.
    case symbolicLink = "symlink"
    /// A character device.
    case characterDevice = "char"
    /// A block device.
    case blockDevice = "block"
    /// A named pipe.
    case fifo
    /// A socket.
    case socket

    /// The type in the upper bits of a Unix mode, or nil where they name none.
    public init?(mode: UInt16) {
        switch mode & 0xF000 {
        case 0x8000: self = .regular
        case 0x4000: self = .directory
        case 0xA000: self = .symbolicLink
        case 0x2000: self = .characterDevice
        case 0x6000: self = .blockDevice
        case 0x1000: self = .fifo
        case 0xC000: self = .socket
        default: return nil
        }
    }
}

/// A moment as a file system stores it: seconds since 1970-01-01 UTC, and nanoseconds after them.
public struct Timestamp: Hashable, Comparable, Sendable {
    /// Seconds since the epoch; negative before it.
    public let seconds: Int64
    /// Nanoseconds after ``seconds``, 0 to 999,999,999.
    public let nanoseconds: UInt32

    /// Creates a timestamp; nanoseconds past a second are cut to 999,999,999.
    public init(seconds: Int64, nanoseconds: UInt32 = 0) {
        self.seconds = seconds
        self.nanoseconds = min(nanoseconds, 999_999_999)
    }

    /// Orders by time.
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

/// What a file system says of a file, apart from its names and its content.
public struct Inode: Equatable, Sendable {
    /// Why the content of a file cannot be given although it is there.
    public enum Obstacle: String, Sendable {
        /// The content is encrypted by the guest.
        case encrypted
        /// The content is protected by fs-verity, which this reader does not verify.
        case verity
    }

    /// The inode number.
    public var number: UInt64
    /// What kind of file it is.
    public var type: FileType
    /// Permission bits with setuid, setgid and sticky: the lower twelve bits of the mode.
    public var permissions: UInt16
    /// The owner.
    public var userID: UInt32
    /// The owning group.
    public var groupID: UInt32
    /// How many names it has, as the inode claims.
    public var linkCount: UInt32
    /// Size in bytes, as the guest sees it.
    public var size: UInt64
    /// Bytes that are allocated on the volume for it.
    public var allocatedBytes: UInt64
    /// Last access (atime).
    public var accessed: Timestamp
    /// Last change of the content (mtime).
    public var modified: Timestamp
    /// Last change of the inode (ctime).
    public var changed: Timestamp
    /// When it was created, where the format records that.
    public var created: Timestamp?
    /// Major and minor number of a device.
    public var device: Device?
    /// Set where the content cannot be given.
    public var obstacle: Obstacle?
    /// Where on the volume all of the content stands in one piece, if the inode alone says so.
    ///
    /// Nil says nothing: ask for the extents.
    public var contiguousOffset: UInt64?
    /// False where the inode alone shows that there are no extended attributes.
    public var mayHaveAttributes = true

    /// The numbers of a device node.
    public struct Device: Equatable, Sendable {
        /// The driver.
        public var major: UInt32
        /// The device within the driver.
        public var minor: UInt32

        /// Creates device numbers.
        public init(major: UInt32, minor: UInt32) {
            self.major = major
            self.minor = minor
        }
    }

    /// Creates an inode value.
    public init(
        number: UInt64,
        type: FileType,
        permissions: UInt16,
        userID: UInt32 = 0,
        groupID: UInt32 = 0,
        linkCount: UInt32 = 1,
        size: UInt64 = 0,
        allocatedBytes: UInt64 = 0,
        accessed: Timestamp = Timestamp(seconds: 0),
        modified: Timestamp = Timestamp(seconds: 0),
        changed: Timestamp = Timestamp(seconds: 0),
        created: Timestamp? = nil,
        device: Device? = nil,
        obstacle: Obstacle? = nil
    ) {
        self.number = number
        self.type = type
        self.permissions = permissions & 0xFFF
        self.userID = userID
        self.groupID = groupID
        self.linkCount = linkCount
        self.size = size
        self.allocatedBytes = allocatedBytes
        self.accessed = accessed
        self.modified = modified
        self.changed = changed
        self.created = created
        self.device = device
        self.obstacle = obstacle
    }
}

/// A name in a directory.
public struct DirectoryEntry: Equatable, Sendable {
    /// The name's bytes, not necessarily UTF-8; never empty, `.`, `..`, nor with `/` or NUL in it.
    public let name: [UInt8]
    /// The number of the inode that it names.
    public let inode: UInt64
    /// The type, where the directory itself says it.
    public let type: FileType?

    /// Creates an entry.
    public init(name: [UInt8], inode: UInt64, type: FileType?) {
        self.name = name
        self.inode = inode
        self.type = type
    }

    /// What the entry takes in memory, with what sorting a listing by name takes: never less.
    public var heldBytes: Int { Self.heldBytes(nameLength: name.count) }

    /// The same for a name of this length: the array of the name with its header, the entry in an
    /// array that grows by doubling, and its places in two orders.
    package static func heldBytes(nameLength: Int) -> Int { nameLength + 128 }
}

/// The content of a directory, as far as it could be read.
public struct DirectoryListing: Equatable, Sendable {
    /// The names that were read.
    public var entries: [DirectoryEntry]
    /// What could not be read, each with its place; empty means that the listing is complete.
    public var problems: [DiskError]

    /// What the names of one directory may take where nothing else is said: a million of the longest.
    static let heldBytesMax = 384 << 20

    /// Creates a listing.
    public init(entries: [DirectoryEntry] = [], problems: [DiskError] = []) {
        self.entries = entries
        self.problems = problems
    }
}

/// A range of a file and what it consists of.
public struct FileExtent: Equatable, Sendable {
    /// What stands behind a range of a file.
    public enum Content: Equatable, Sendable {
        /// Bytes of the volume, from this offset on.
        case volume(offset: UInt64)
        /// Bytes that are kept inside other structures, such as the inode.
        case inline([UInt8])
        /// Reads as zeros; nothing is allocated.
        case hole
        /// Reads as zeros; allocated and never written.
        case unwritten
        /// What stands here cannot be known, because the structure that would say so is damaged.
        case unreadable(DiskError)
    }

    /// Where the range begins in the file, in bytes.
    public let fileOffset: UInt64
    /// How long it is in bytes; at least 1.
    public let length: UInt64
    /// What it consists of.
    public let content: Content

    /// Creates an extent of `length` bytes.
    public init(fileOffset: UInt64, length: UInt64, content: Content) {
        self.fileOffset = fileOffset
        self.length = length
        self.content = content
    }
}

/// A named value that is attached to a file.
public struct ExtendedAttribute: Equatable, Sendable {
    /// The full name's bytes, such as `user.note`.
    public let name: [UInt8]
    /// The value.
    public let value: [UInt8]

    /// Creates an attribute.
    public init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}
