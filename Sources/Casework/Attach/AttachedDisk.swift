public import DiskFormats
package import Linux

/// The formats of layers that are read here.
public enum ImageFormat: String, Sendable, CaseIterable {
    /// The file is the disk, byte for byte.
    case raw
    /// A QEMU copy-on-write image, version 2 or 3.
    case qcow2
}

/// One file of a disk's chain.
public struct DiskLayer: Sendable {
    /// The path by which it was found.
    public let path: String
    /// The path by which the kernel knows it, free of symbolic links.
    public let realPath: String
    /// How it is read.
    public let format: ImageFormat
    /// The size of the disk that it describes, in bytes.
    public let virtualSize: UInt64
    /// The size of the file in bytes.
    public let fileSize: UInt64
    /// Bytes that are allocated for the file.
    public let allocatedBytes: UInt64
    /// Which file it is.
    package let identity: FileStatus.Identity
    /// Whether a reader's locks are held on it, and seen by whoever else could open it.
    package let isLocked: Bool
}

/// A disk whose chain was checked and is held open for reading.
///
/// Each file was opened once; what was checked is what is read. QEMU's read locks are held for as
/// long as this value, or its source, lives.
public struct AttachedDisk: Sendable {
    /// The base name of the image.
    public let name: String
    /// The path as it was given.
    public let path: String
    /// The format of the top layer.
    public let format: ImageFormat
    /// The files, the image itself first.
    public let layers: [DiskLayer]
    /// The guest's disk; runs give layers by their index in ``layers``.
    public let source: any BlockSource
    /// What a user ought to know, a sentence each.
    public let warnings: [String]
    /// What holds the instance whose disk it is; nil where its image is held by locks.
    package let hold: Hold?
    private let descriptors: [FileDescriptor?]

    init(
        path: String,
        layers: [DiskLayer],
        descriptors: [FileDescriptor?],
        source: any BlockSource,
        warnings: [String],
        hold: Hold? = nil
    ) {
        self.path = path
        self.name = path.baseName
        self.format = layers.first?.format ?? .raw
        self.layers = layers
        self.source = source
        self.warnings = warnings
        self.descriptors = descriptors
        self.hold = hold
    }

    /// The same disk of an instance that is held: nothing is read from it when that is over.
    ///
    /// `source` stands for its files where those are not to be read themselves.
    func held(by hold: Hold, source other: (any BlockSource)? = nil, name: String) -> AttachedDisk {
        AttachedDisk(
            path: path,
            layers: layers,
            descriptors: other == nil ? descriptors : descriptors.map { _ in nil },
            source: hold.guarded(other ?? source, name: "disk \(name)"),
            warnings: warnings,
            hold: hold
        )
    }

    /// The files of ``hostFiles`` where bytes may go from them straight into a pipe: not those of an
    /// instance that is held, since what is moved past its source is not asked about.
    package var spliceFiles: [FileDescriptor] { hold == nil ? hostFiles : [] }

    /// The open files of all layers, the image itself first; empty where one has none.
    package var hostFiles: [FileDescriptor] {
        descriptors.contains { $0 == nil } ? [] : descriptors.compactMap(\.self)
    }

    /// The open file of layer `layer`, for sending bytes from it without copying them.
    ///
    /// Offsets are those that ``BlockRun/Origin/file(layer:offset:)`` gives.
    package func hostFile(_ layer: Int) -> FileDescriptor? {
        descriptors.indices.contains(layer) ? descriptors[layer] : nil
    }
}

/// How a disk is to be attached.
package struct AttachOptions: Sendable {
    /// What is done about QEMU's image locks.
    package enum Locking: Sendable {
        /// Refuse what a writer holds, and hold a reader's locks.
        case hold
        /// Look at no lock and take none; for an instance that is held by other means.
        case none
    }

    /// The format of the image, where the caller knows it better than `disk.info` and the header.
    package var format: ImageFormat?
    /// The files and formats that the image must be found to consist of, for a disk of a domain.
    ///
    /// Those of its description; then neither `disk.info` nor a signature counts.
    package var chain: PinnedChain?
    /// Directories, with all below them, where backing files may lie, besides the usual ones.
    package var allowedBackingDirectories: [String]
    /// What is done about locks.
    package var locking: Locking
    /// Faults for the reads of each layer; nil but in tests.
    package var faults: (@Sendable (_ layer: Int) -> ReadFaults?)?

    /// Creates options; without arguments, the careful ones.
    package init(
        format: ImageFormat? = nil,
        chain: PinnedChain? = nil,
        allowedBackingDirectories: [String] = [],
        locking: Locking = .hold,
        faults: (@Sendable (Int) -> ReadFaults?)? = nil
    ) {
        self.format = format
        self.chain = chain
        self.allowedBackingDirectories = allowedBackingDirectories
        self.locking = locking
        self.faults = faults
    }
}
