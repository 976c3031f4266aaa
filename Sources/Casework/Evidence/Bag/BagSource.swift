internal import DiskFormats
internal import Linux

/// Where the files of a bag come from, as it was when they were opened.
package struct BagSource: Sendable {
    /// A file of an image chain.
    struct Layer: Sendable {
        let path: String
        let format: ImageFormat
        let virtualSize: UInt64
        let size: UInt64
        let modifiedNanoseconds: Int64
        let identity: FileStatus.Identity
    }

    /// A volume, as far as it was looked at.
    struct Volume: Sendable {
        let name: String
        let size: UInt64
        let start: UInt64?
        let type: String
        let label: [UInt8]
        let uuid: String
        /// Which reader opened its file system; nil where nobody did.
        let reader: EngineChoice?
        let journal: FileSystemSummary.JournalState?
    }

    /// A disk that was opened.
    struct Disk: Sendable {
        let name: String
        let size: UInt64
        let layers: [Layer]
        let table: PartitionTable
        let volumes: [Volume]
        /// Whether QEMU's read locks are held on all layers, and nothing hides those of others.
        let isLocked: Bool
        /// Whether the instance is held instead.
        let isHeld: Bool
        let warnings: [String]
    }

    /// The target as it was given.
    let target: String
    /// The uuid of the instance; nil for a loose image.
    let instance: String?
    let disks: [Disk]
    /// Volumes within volumes.
    let inner: [Volume]
    /// How what is read of them belongs together.
    let consistency: Consistency

    /// Describes disks that are attached, and the volumes within their volumes that were found.
    package init(
        target: String,
        instance: String?,
        disks: [Casework.Disk],
        inner: [Casework.Volume],
        consistency: Consistency = .offline
    ) {
        self.target = target
        self.instance = instance
        self.disks = disks.map(Disk.init)
        self.inner = inner.map(Volume.init)
        self.consistency = consistency
    }

    /// All volumes of which a file system was opened.
    var opened: [Volume] {
        (disks.flatMap(\.volumes) + inner).filter { $0.reader != nil }
    }
}

extension BagSource.Disk {
    fileprivate init(_ disk: Disk) {
        let image = disk.image
        name = disk.name
        size = image.source.byteCount
        layers = image.layers.enumerated().map { index, layer in
            BagSource.Layer(layer, image.hostFile(index))
        }
        table = disk.table
        volumes = disk.volumes.map(BagSource.Volume.init)
        isLocked = image.layers.allSatisfy(\.isLocked)
        isHeld = image.hold != nil
        warnings = image.warnings
    }
}

extension BagSource.Layer {
    fileprivate init(_ layer: DiskLayer, _ file: FileDescriptor?) {
        path = layer.realPath
        format = layer.format
        virtualSize = layer.virtualSize
        size = layer.fileSize
        identity = layer.identity
        modifiedNanoseconds = (try? file?.status().modifiedNanoseconds) ?? 0
    }
}

extension BagSource.Volume {
    fileprivate init(_ volume: Volume) {
        let summary = volume.openedFileSystem?.summary
        let signature = (try? volume.signatures())?.first
        name = volume.name.description
        size = volume.source.byteCount
        start = volume.partition?.start
        type = summary?.type ?? signature?.type ?? ""
        label = summary?.label ?? signature?.label ?? []
        uuid = summary?.uuid ?? signature?.uuid ?? ""
        reader = volume.openedBy
        journal = summary?.journal
    }
}

extension FileSystemSummary.JournalState {
    /// The word for it in records.
    var word: StaticString {
        switch self {
        case .clean: "clean"
        case .replayed, .replayedByKernel: "replayed"
        case .ignored: "ignored"
        }
    }
}
