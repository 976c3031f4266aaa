package import DiskFormats
package import Linux

/// Takes files out of file systems, into a directory or an archive.
///
/// Nothing is overwritten, nothing is written outside the destination, and what could not be taken
/// out is in the report with its reason and, inside a file, with its exact range. Blocks the calling
/// thread, on which `progress` is called as well.
package struct Extraction: Sendable {
    /// A file or directory to take out.
    package struct Root: Sendable {
        /// The file system that holds it.
        package let fileSystem: any FileSystem
        /// Its inode there.
        package let inode: UInt64
        /// Its path as the guest knows it, for the report.
        package let guestPath: [UInt8]
        /// Its path in the destination; empty puts what is in the directory directly there.
        package let name: [UInt8]
        /// Directories that are left out, because another root stands in their place.
        package let hidden: Set<UInt64>
        /// The files that ``BlockRun/Origin/file(layer:offset:)`` speaks of; may be empty.
        ///
        /// Where they are given, long files go from them into a pipe without being copied.
        package let layers: [FileDescriptor]
        /// The name of the volume that holds it, such as `disk:p1`, for records.
        package let volume: String
        /// Its path within that volume, where ``guestPath`` is one of the guest's own tree and it is
        /// known; nil otherwise.
        package let volumePath: [UInt8]?

        /// Names what is taken out and where it goes.
        package init(
            _ fileSystem: any FileSystem,
            inode: UInt64,
            guestPath: [UInt8],
            name: [UInt8],
            hidden: Set<UInt64> = [],
            layers: [FileDescriptor] = [],
            volume: String = "",
            volumePath: [UInt8]? = nil
        ) {
            self.fileSystem = fileSystem
            self.inode = inode
            self.guestPath = guestPath
            self.name = name
            self.hidden = hidden
            self.layers = layers
            self.volume = volume
            self.volumePath = volumePath
        }
    }

    /// Where files go.
    package enum Sink: Sendable {
        /// Beneath this directory, which is created where it is missing.
        case directory(path: String)
        /// Into a pax archive that is written to this descriptor from its position on.
        case archive(FileDescriptor)
    }

    /// What bounds an extraction and what is kept.
    package struct Options: Sendable {
        /// Content in bytes, holes not counted; a file that would pass it is skipped.
        package var maximumBytes: UInt64?
        /// How many files, directories and others; the walk ends there.
        package var maximumFiles: Int?
        /// How many directories deep below a root.
        package var maximumDepth = 4_096
        /// Directories and symbolic links, which a directory finishes at the end, may take this much
        /// memory until then.
        package var heldBytesMax = 144 << 20
        /// Whether files get their owners; into a directory this needs root.
        package var keepsOwners = false
        /// Whether permissions and times are restored in a directory.
        package var restoresMetadata = true
        /// Whether attributes outside `user.` are set in a directory; archives hold them all.
        package var keepsAllAttributes = false

        /// Asked before each file; true ends the walk as a limit does, since nothing more can be read.
        package var isOver: (@Sendable () -> Bool)?

        /// The defaults: no limit but depth.
        package init() {}
    }

    /// How far it is.
    package struct Progress: Sendable {
        /// Bytes of content that are done.
        package var bytes: UInt64 = 0
        /// Files, directories and others that are done.
        package var files = 0
        /// The path of the latest, as the guest knows it.
        package var path: [UInt8] = []
    }

    /// What to take out.
    package let roots: [Root]
    /// Where to put it.
    package let sink: Sink
    /// Bounds and choices.
    package let options: Options

    /// Prepares; nothing happens yet.
    package init(_ roots: [Root], to sink: Sink, options: Options = Options()) {
        self.roots = roots
        self.sink = sink
        self.options = options
    }

    /// Carries it out, and says what became of each file.
    ///
    /// `progress` is called at most ten times a second. Where `cancellation` is set meanwhile, what
    /// was begun is dropped, and an archive ends without the blocks that would end it.
    package func run(
        cancellation: CancellationFlag = CancellationFlag(),
        progress: @escaping (Progress) -> Void = { _ in }
    ) -> ExtractionReport {
        FileDescriptor.withoutPipeSignal {
            switch sink {
            case .directory(let path):
                DirectoryExtraction(self, cancellation, progress).run(into: path)
            case .archive(let descriptor):
                ArchiveExtraction(self, cancellation, progress).run(into: descriptor)
            }
        }
    }
}

extension Extraction {
    /// The path of an item as the guest knows it, from its path in the destination.
    func guestPath(_ path: [UInt8], root: Int) -> [UInt8] {
        roots[root].path(of: path, below: roots[root].guestPath)
    }

    /// The path of an item within its volume; nil where that of its root is not known.
    func volumePath(_ path: [UInt8], root: Int) -> [UInt8]? {
        roots[root].volumePath.map { roots[root].path(of: path, below: $0) }
    }
}

extension Extraction.Root {
    fileprivate func path(of item: [UInt8], below start: [UInt8]) -> [UInt8] {
        var rest = item[...]
        if !name.isEmpty { rest = rest.dropFirst(name.count) }
        rest = rest.drop { $0 == 0x2F }
        if rest.isEmpty { return start }
        return start + (start.last == 0x2F ? [] : [0x2F]) + rest
    }
}
