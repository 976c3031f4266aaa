public import DiskFormats
internal import EngineProtocol

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
    /// Whether it lies within other volumes, so that only the engine sees it.
    public let isInner: Bool
    private let journal: JournalPolicy
    private let opening: VolumeOpening
    private let opened = Memo<any FileSystem>()
    private let openedNatively = Memo<any FileSystem>()
    private let probed = Memo<[VolumeSignature]>()
    private let known: [VolumeSignature]?
    /// The volumes that it lies on, where it lies within others.
    package let parts: [String]

    package init(
        name: GuestPath.VolumeName,
        partition: Partition?,
        source: any BlockSource,
        journal: JournalPolicy,
        opening: VolumeOpening = VolumeOpening()
    ) {
        self.name = name
        self.partition = partition
        self.source = source
        self.journal = journal
        self.opening = opening
        self.isInner = false
        self.known = nil
        self.parts = []
    }

    /// A volume that the engine has found within others.
    init(name: GuestPath.VolumeName, _ found: WorkerVolume, engine: Engine) {
        self.name = name
        self.partition = nil
        self.source = HiddenSource(byteCount: found.byteCount, name: name.description)
        self.journal = .replay
        self.opening = VolumeOpening(choice: .guestfs, engine: engine)
        self.isInner = true
        self.parts = found.parts
        let isContainer = [Self.encryptedType, "LVM2_member", "linux_raid_member"]
            .contains(found.type)
        let signature = VolumeSignature(
            type: found.type,
            usage: found.type == Self.encryptedType ? .crypto : isContainer ? .raid : .filesystem,
            label: found.label,
            uuid: found.uuid
        )
        self.known = found.type.isEmpty ? [] : [signature]
    }

    /// What the volume's bytes say it holds, best first; empty where nothing is recognised.
    public func signatures() throws(GloveboxError) -> [VolumeSignature] {
        if let known { return known }
        return try probed.get { () throws(GloveboxError) in
            try reading(name.description) { () throws(DiskError) in
                try VolumeSignature.probe(source)
            }
        }
    }

    /// The file system, opened by the reader that the options chose; its journal is replayed, in
    /// memory or in a throw-away layer, where it has to be.
    ///
    /// Throws where there is none, where two are claimed, or where no reader knows it.
    public func fileSystem() throws(GloveboxError) -> any FileSystem {
        try opened.get { () throws(GloveboxError) in
            try opening.willMount?()
            return try open()
        }
    }

    /// The file system, if it has been opened; does not open it.
    public var openedFileSystem: (any FileSystem)? { opened.made ?? openedNatively.made }

    /// Which reader has opened the file system; nil where none has.
    public var openedBy: EngineChoice? {
        openedFileSystem.map { $0 is EngineFileSystem ? .guestfs : .native }
    }

    /// The file system where it is opened natively; nothing is ever started for it.
    package func nativeFileSystem() throws(GloveboxError) -> any FileSystem {
        try openedNatively.get { () throws(GloveboxError) in
            try opening.willMount?()
            return try openNatively()
        }
    }

    /// Whether opening it means starting the engine: what it holds is nothing for the native reader.
    package var needsEngine: Bool {
        guard opening.engine != nil, opening.choice != .native else { return false }
        if isInner || opening.choice == .guestfs { return true }
        guard let type = (try? signatures())?.first?.type else { return false }
        return !Self.nativeTypes.contains(type) && Self.isFileSystem(type)
    }

    /// Whether looking at it is reason enough to start the engine: it runs, or nothing else is wanted.
    package var isOpenedAlways: Bool {
        needsEngine && (opening.choice == .guestfs || opening.engine?.isRunning == true)
    }

    /// The reader that would open it; nil where none can.
    package var reader: EngineChoice? {
        if let openedBy { return openedBy }
        guard let type = (try? signatures())?.first?.type else { return nil }
        if needsEngine, Self.isFileSystem(type) { return .guestfs }
        return nil
    }

    /// Whether `type` is a file system, and no container, encryption or swap space.
    package static func isFileSystem(_ type: String) -> Bool {
        ![
            encryptedType, "LVM2_member", "linux_raid_member", WorkerVolume.partitionTable, "swap",
            "swsuspend", "BitLocker",
        ].contains(type)
    }

    /// Types that no Linux guest has its root on.
    private static let neverRoot: [String] = ["vfat", "exfat", "iso9660", "udf", "swap"]

    /// Whether all that it holds is of types that no Linux guest has its root on.
    package var isNeverRoot: Bool {
        guard let found = try? signatures(), !found.isEmpty else { return false }
        return found.allSatisfy { Self.neverRoot.contains($0.type) }
    }

    /// An encrypted volume that the engine can unlock, as blkid names it.
    package static let encryptedType = "crypto_LUKS"

    private func open() throws(GloveboxError) -> any FileSystem {
        guard let engine = opening.engine, opening.choice != .native else {
            return try nativeFileSystem()
        }
        let types = try signatures().map(\.type)
        if types.count > 1 || types.first.map(Self.isFileSystem) == false {
            return try nativeFileSystem()
        }
        if opening.choice == .guestfs || needsEngine { return try engine.fileSystem(of: name) }
        do throws(GloveboxError) { return try nativeFileSystem() } catch {
            // Where nothing is recognised, the appliance has nothing to mount either.
            guard !types.isEmpty, isBeyondNative else { throw error }
            return try engine.fileSystem(of: name)
        }
    }

    /// Whether the native reader refused it for a feature that it does not know.
    private var isBeyondNative: Bool {
        do throws(DiskError) { _ = try Ext4FileSystem(volume: source, journal: journal) } catch {
            return error.reason == .unsupported
        }
        return false
    }

    private func openNatively() throws(GloveboxError) -> any FileSystem {
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
                "\(name) holds \(type), which is \(Self.why(type)).",
                advice: advice(on: type)
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

    private static func why(_ type: String) -> String {
        isFileSystem(type) ? "not read natively" : "no file system"
    }

    private func advice(on type: String) -> String {
        guard opening.engine != nil, opening.choice != .native else {
            return "`glovebox disks` shows what can be read."
        }
        switch type {
        case Self.encryptedType:
            return "Unlock it with --key-file; its content is \(name.unlocked):/."
        case "LVM2_member", "linux_raid_member":
            return "It is a part of other volumes: `glovebox disks` shows them."
        default:
            return "`glovebox disks` shows what can be read."
        }
    }

    /// GRUB's second stage on a GPT disk; searching it for a lost file system would only take time.
    private static let biosBoot = "21686148-6449-6E6F-744E-656564454649"

    /// The types that the native readers know, as blkid names them.
    package static let nativeTypes: [String] = ["ext2", "ext3", "ext4"]
}

/// How a volume's file system is opened.
package struct VolumeOpening: Sendable {
    /// The reader that was asked for.
    package var choice: EngineChoice
    /// The engine; nil where there is none.
    package var engine: Engine?
    /// Called before a file system is opened, which does not take place where it throws.
    package var willMount: (@Sendable () throws(GloveboxError) -> Void)?

    package init(choice: EngineChoice = .native, engine: Engine? = nil) {
        self.choice = choice
        self.engine = engine
    }
}

/// The bytes of a volume that only the engine sees.
private struct HiddenSource: BlockSource {
    let byteCount: UInt64
    let name: String

    func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        throw refusal(offset)
    }

    func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        throw refusal(offset)
    }

    private func refusal(_ offset: UInt64) -> DiskError {
        DiskError(.unsupported, name, at: offset, "its bytes are only seen within the appliance")
    }
}
