internal import Casework
internal import DiskFormats
internal import Glovebox

/// Prints files one after the other as a walk meets them, and remembers what could not be read.
///
/// A listing that is longer than a batch is formatted and written on a thread of its own, while the
/// walk goes on: that takes half the time.
struct FileListing: ~Copyable {
    /// How files are shown.
    enum Style: Equatable, Sendable {
        /// JSON lines; with how they belong together, where the instance was not off.
        case json(Consistency?)
        /// As `ls -l`.
        case long
        /// The bare names of one directory.
        case names
        /// The whole paths.
        case paths
        /// The whole paths as bytes, each ended by NUL.
        case rawPaths

        /// JSON lines of an instance that is read.
        static func json(of instance: Instance) -> Style {
            .json(instance.consistency == .offline ? nil : instance.consistency)
        }
    }

    private let style: Style
    private var batch: ListedBatch?
    private var thread: ListingThread?
    private var problemCount = 0

    init(_ style: Style) { self.style = style }

    /// Shows what a walk reports; in full with its path, or by its name.
    mutating func add(_ event: GuestTree.Event, showPath: Bool) throws {
        guard case .found(let found) = event, case .success(let inode) = found.inode else {
            try handOver()
            return try pass(.event(event))
        }
        if batch == nil || batch?.isFull == true || batch?.volume != found.volume {
            try handOver()
            batch = ListedBatch(found.volume, found.fileSystem)
        }
        batch?.add(found.path, shown: showPath ? found.path.count : found.name.count, inode)
    }

    /// Hands over what is still buffered, and says how much was wrong.
    mutating func finish() throws {
        if thread == nil, let batch {
            // Short listings do without a thread.
            var writer = ListingWriter(style)
            try writer.add(.files(batch))
            problemCount = try writer.finish()
            return
        }
        try handOver()
        if let thread { problemCount = try thread.finish() }
    }

    /// Fails where the listing is not complete, so that no script takes it for that.
    func throwIfIncomplete() throws(GloveboxError) {
        guard problemCount > 0 else { return }
        throw GloveboxError(
            .unreadable,
            "The listing is not complete: \(problemCount) directories or files could not be read."
        )
    }

    private mutating func handOver() throws {
        guard let full = batch else { return }
        batch = nil
        try pass(.files(full))
    }

    private mutating func pass(_ part: ListedPart) throws {
        let thread = thread ?? ListingThread(style)
        self.thread = thread
        try thread.push(part)
    }
}

/// A part of a listing, in the order of the walk.
enum ListedPart: Sendable {
    case files(ListedBatch)
    case event(GuestTree.Event)
}

/// Neighbouring files of one volume, kept without an allocation for each of them.
struct ListedBatch: Sendable {
    let volume: GuestPath.VolumeName
    let fileSystem: any FileSystem
    private(set) var files: [(inode: Inode, path: Range<Int>, shownFrom: Int)] = []
    /// The paths, one behind the other.
    private(set) var paths: [UInt8] = []

    /// Small enough for memory that is at hand, and not asked of the system each time.
    private static let countMax = 128

    var isFull: Bool { files.count >= Self.countMax || paths.count > 1 << 18 }

    init(_ volume: GuestPath.VolumeName, _ fileSystem: any FileSystem) {
        self.volume = volume
        self.fileSystem = fileSystem
        files.reserveCapacity(Self.countMax)
        paths.reserveCapacity(64 * Self.countMax)
    }

    /// Adds a file of which the last `shown` bytes of its path are shown.
    mutating func add(_ path: [UInt8], shown: Int, _ inode: Inode) {
        let start = paths.count
        paths.append(contentsOf: path)
        files.append((inode, start..<paths.count, paths.count - shown))
    }
}
