/// A file system on a volume, read natively and never written.
///
/// Inodes are named by number; formats without inodes (FAT, ISO 9660) assign numbers that are
/// stable while the value lives. Every conforming type is safe to use from several threads, bounds
/// all its loops and its memory by what it has checked, and throws rather than guess.
///
/// Damage costs what it belongs to and no more: a broken directory makes ``entries(of:)`` report
/// it among ``DirectoryListing/problems``, and the rest of the tree stays readable.
public protocol FileSystem: Sendable {
    /// What the superblock says, and how the file system was opened.
    var summary: FileSystemSummary { get }

    /// Where the bytes of files are read from: the volume, with a replayed journal laid over it.
    var volume: any BlockSource { get }

    /// The number of the root directory.
    var rootInode: UInt64 { get }

    /// Type, permissions, owner, times and size of an inode.
    func inode(_ number: UInt64) throws(DiskError) -> Inode

    /// The names in a directory, without `.` and `..`, in the order of the disk.
    ///
    /// Names that would take more than `heldBytesMax` of memory together, each as much as
    /// ``DirectoryEntry/heldBytes`` says, are left out, and that is a problem of the listing.
    func entries(of directory: UInt64, heldBytesMax: Int) throws(DiskError) -> DirectoryListing

    /// The inode that `name` leads to in `directory`, or nil where there is no such name.
    func lookup(_ name: [UInt8], in directory: UInt64) throws(DiskError) -> UInt64?

    /// The target of a symbolic link, as it stands on the disk.
    func linkTarget(of number: UInt64) throws(DiskError) -> [UInt8]

    /// What the bytes `range` of a file consist of: in order, without gap or overlap, cut at
    /// the file's size, neighbours of one kind joined where they touch on the disk.
    ///
    /// Ask for windows (such as 64 MiB) rather than whole files: memory is proportional to the
    /// number of extents in `range`.
    func extents(of number: UInt64, in range: Range<UInt64>) throws(DiskError) -> [FileExtent]

    /// Extended attributes with their full names, such as `user.note` or `security.selinux`.
    ///
    /// POSIX ACLs come in the form that Linux' getxattr gives for `system.posix_acl_access`.
    func extendedAttributes(of number: UInt64) throws(DiskError) -> [ExtendedAttribute]

    /// Whether ``extents(of:in:)`` says where on the disk content stands, and where holes are.
    ///
    /// False where a foreign kernel gives only the bytes: a file is one run of data then.
    var knowsExtents: Bool { get }
}

extension FileSystem {
    /// True, as for every native reader.
    public var knowsExtents: Bool { true }
}

extension FileSystem {
    /// The names in a directory, as far as 384 MiB hold them: a million of the longest.
    public func entries(of directory: UInt64) throws(DiskError) -> DirectoryListing {
        try entries(of: directory, heldBytesMax: DirectoryListing.heldBytesMax)
    }
}

/// What can be said of a file system as a whole.
public struct FileSystemSummary: Equatable, Sendable {
    /// The type as blkid names it: `ext4`, `xfs`, `vfat`.
    public var type: String
    /// The volume label as bytes; empty where there is none.
    public var label: [UInt8]
    /// The identifier as blkid prints it.
    public var uuid: String
    /// The allocation unit in bytes.
    public var blockSize: Int
    /// Size in bytes.
    public var totalBytes: UInt64
    /// Free space in bytes.
    public var freeBytes: UInt64
    /// Free space in bytes without what is reserved for root.
    public var availableBytes: UInt64
    /// How many inodes there are; 0 where the format has none.
    public var totalInodes: UInt64
    /// How many inodes are free.
    public var freeInodes: UInt64
    /// Names of the features that are set, as the format's own tools print them.
    public var features: [String]
    /// Whether it was unmounted cleanly, and if not, what was done about it.
    public var journal: JournalState
    /// What is wrong with it, without having prevented it from being opened.
    public var problems: [DiskError]

    /// How the journal was found and dealt with.
    public enum JournalState: Equatable, Sendable {
        /// Nothing to replay.
        case clean
        /// Replayed in memory: this many transactions and blocks.
        case replayed(transactions: Int, blocks: Int)
        /// Replayed by the kernel of an appliance into a throw-away layer; it does not say how much.
        case replayedByKernel
        /// There was something to replay, and it was left out because the caller asked for that.
        case ignored
    }

    /// Creates a summary; all sizes in bytes.
    public init(
        type: String,
        label: [UInt8] = [],
        uuid: String = "",
        blockSize: Int,
        totalBytes: UInt64,
        freeBytes: UInt64 = 0,
        availableBytes: UInt64 = 0,
        totalInodes: UInt64 = 0,
        freeInodes: UInt64 = 0,
        features: [String] = [],
        journal: JournalState = .clean,
        problems: [DiskError] = []
    ) {
        self.type = type
        self.label = label
        self.uuid = uuid
        self.blockSize = blockSize
        self.totalBytes = totalBytes
        self.freeBytes = freeBytes
        self.availableBytes = availableBytes
        self.totalInodes = totalInodes
        self.freeInodes = freeInodes
        self.features = features
        self.journal = journal
        self.problems = problems
    }
}
