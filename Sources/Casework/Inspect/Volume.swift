public import DiskFormats

/// A partition of a disk, or a whole disk that has none.
///
/// Its file system is opened when it is first asked for, and only once.
public final class Volume: Sendable {
    /// `disk:p1`, as in guest paths.
    public let name: GuestPath.VolumeName
    /// The entry of the partition table; nil for a whole disk.
    public let partition: Partition?
    /// The volume's bytes.
    public let source: any BlockSource
    private let journal: JournalPolicy
    private let opened = Memo<any FileSystem>()
    private let probed = Memo<[VolumeSignature]>()

    package init(
        name: GuestPath.VolumeName,
        partition: Partition?,
        source: any BlockSource,
        journal: JournalPolicy
    ) {
        self.name = name
        self.partition = partition
        self.source = source
        self.journal = journal
    }

    /// What the volume's bytes say it holds, best first; empty where nothing is recognised.
    public func signatures() throws(GloveboxError) -> [VolumeSignature] {
        try probed.get { () throws(GloveboxError) in
            try reading(name.description) { () throws(DiskError) in
                try VolumeSignature.probe(source)
            }
        }
    }

    /// The file system, opened natively; its journal is replayed in memory where it has to be.
    ///
    /// Throws where there is none, where two are claimed, or where none of the native readers
    /// knows it.
    public func fileSystem() throws(GloveboxError) -> any FileSystem {
        try opened.get { () throws(GloveboxError) in try open() }
    }

    /// The file system, if it has been opened; does not open it.
    public var openedFileSystem: (any FileSystem)? { opened.made }

    private func open() throws(GloveboxError) -> any FileSystem {
        let found = try signatures()
        let types = found.map(\.type)
        guard types.count <= 1 else {
            throw GloveboxError(
                .unreadable,
                "\(name) carries the signatures of \(types.joined(separator: " and ")), "
                    + "so what it holds is not certain.",
                advice: "Look at it with `wipefs --no-act` on a copy."
            )
        }
        if let type = types.first, !Self.nativeTypes.contains(type) {
            throw GloveboxError(
                .unreadable,
                "\(name) holds \(type), which is not read natively.",
                advice: "`glovebox disks` shows what can be read."
            )
        }
        if types.isEmpty, partition?.type == Self.biosBoot {
            throw GloveboxError(.unreadable, "\(name) holds a boot loader, not a file system.")
        }
        do throws(DiskError) {
            return try Ext4FileSystem(volume: source, journal: journal)
        } catch {
            if types.isEmpty {
                throw GloveboxError(.unreadable, "\(name) holds nothing that is recognised.")
            }
            throw GloveboxError(error, at: name.description)
        }
    }

    /// GRUB's second stage on a GPT disk; searching it for a lost file system would only take time.
    private static let biosBoot = "21686148-6449-6E6F-744E-656564454649"

    /// The types that the native readers know, as blkid names them.
    package static let nativeTypes: [String] = ["ext2", "ext3", "ext4"]
}
