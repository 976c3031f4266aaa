@_exported public import Casework
@_exported public import DiskFormats
internal import Synchronization

/// A Nova instance's disks, or a single image, opened read-only.
///
/// Nothing of the target is ever written; no root, appliance or kernel mount is needed. Disks are
/// attached when they are first needed, held with QEMU's own read locks while the value lives,
/// and read through the very descriptors that were checked.
///
/// What a policy of this host demands an approval for is opened with one only, and for what that
/// allows; the policy's place follows from the running program's, and nothing here changes it.
///
/// ```swift
/// let instance = try Instance(at: "/var/lib/nova/instances/UUID", for: .read, options: options)
/// let file = try instance.file("/etc/fstab")
/// let text = try file.fileSystem.content(of: file.inode, limit: 65_536)
/// ```
public final class Instance: Sendable {
    /// How a target is opened.
    public struct Options: Sendable {
        /// The format of the image, where nothing else records it.
        public var format: ImageFormat?
        /// Directories that backing files may be in, besides the instance's own and its `_base`.
        public var allowedBackingDirectories: [String]
        /// What to do with a journal that has to be replayed.
        public var journal: JournalPolicy

        /// Which reader opens a volume; without an engine, the native one alone.
        public var engine = EngineChoice.auto
        /// The path of the approval document, beside which its signatures are.
        public var approval: String?
        /// Why a target is read that needs no approval, for the record.
        public var reason: String?
        /// How the engine is started; nil where there is none.
        package var engineSetup: Engine.Setup?
        /// Where `glovebox-engine` is, which holds instances; nil where it lies with this program.
        public var enginePath: String?
        /// libvirt's URI, for a target `domain:…`; nil for its own default.
        public var connectURI: String?
        /// How an instance that runs is held while it is read.
        public var pauseMode = PauseMode.strict
        /// The longest time that an instance may be suspended, in seconds.
        public var pauseSecondsMax: UInt32 = 120
        /// Allows the engine for an instance that is suspended, and a pause of this many seconds.
        public var acceptPauseSeconds: UInt32?
        /// Where sessions are recorded; nil for this installation's directory of state.
        public var stateDirectory: String?
        /// Hears what a user ought to know while an instance is held, a sentence at a time.
        public var onWarning: (@Sendable (String) -> Void)?
        /// Hears what went wrong when an instance was let go of; ``withInstance(_:for:options:_:)``
        /// throws it only where nothing else went wrong.
        public var onUnwindingError: (@Sendable (GloveboxError) -> Void)?
        /// Starts the custodian; nil for the one that belongs to this program.
        package var custodian: (any CustodianStarting)?

        /// The defaults: formats as recorded, backing files beside the instance, journals replayed.
        public init(
            format: ImageFormat? = nil,
            allowedBackingDirectories: [String] = [],
            journal: JournalPolicy = .replay
        ) {
            self.format = format
            self.allowedBackingDirectories = allowedBackingDirectories
            self.journal = journal
        }

        /// How the images are attached.
        var attaching: AttachOptions {
            AttachOptions(format: format, allowedBackingDirectories: allowedBackingDirectories)
        }

        /// How a domain is found and held.
        var live: LiveOptions {
            var live = LiveOptions(
                starting: custodian ?? CustodianProgram(path: enginePath),
                warn: onWarning ?? { _ in }
            )
            live.connectURI = connectURI
            live.pauseMode = pauseMode
            live.pauseSecondsMax = pauseSecondsMax
            live.acceptPauseSeconds = acceptPauseSeconds
            live.stateDirectory = stateDirectory
            return live
        }
    }

    /// The target as it was given.
    public let target: String
    /// The names of its disks, the root disk first.
    public let diskNames: [String]
    /// The approval by which it was opened; nil where none was needed, nor given.
    public var approval: Approval? { admission.approval }
    /// The uuid of the instance of Nova that it is; nil where it is none.
    public var instanceID: String? { admission.instance }
    /// What was given as the reason for reading it.
    public let reason: String?
    private let admission: Admission
    /// The domain, where the target is one.
    let live: LiveDomain?
    private let slots: [LazyDisk]
    private let opening: VolumeOpening
    private let root = Memo<GuestTree>()

    /// Finds the disks of `target`, an image file, an instance directory, or a domain of libvirt as
    /// `domain:NAME`, `domain:ID` or `domain:UUID`; attaches none yet.
    ///
    /// A domain that runs is held from the first read of its disks until ``release()``, or the end of
    /// the value.
    ///
    /// Throws `refused` where the host's policy does not allow to open it for `purpose`. An approval
    /// by digests is the exception to attaching none: its image is attached, locked and hashed.
    public init(
        at target: String,
        for purpose: Purpose,
        options: Options = Options()
    ) throws(GloveboxError) {
        let live = try Self.domain(target, options)
        let located = if let live { live.target } else { try Target(target) }
        let admission = try ApprovalGate.admit(
            located,
            for: purpose,
            approval: options.approval,
            attaching: options.attaching
        )
        self.admission = admission
        self.reason = options.reason
        self.target = target
        self.diskNames = located.disks.map(\.name)
        self.live = live
        live?.look()
        let box = DiskBox()
        var opening = VolumeOpening(choice: options.engine)
        if let live { opening.willMount = { () throws(GloveboxError) in try live.mounting() } }
        if options.engine != .native, var setup = options.engineSetup {
            if live != nil {
                setup.launcher = HeldLauncher(
                    setup.launcher,
                    acceptsPause: options.acceptPauseSeconds != nil
                )
            }
            opening.engine = Engine(setup, journal: options.journal) {
                () throws(GloveboxError) in try box.disks()
            }
        }
        let slots = located.disks.map { [opening] in
            LazyDisk(
                file: $0,
                live: live,
                options: options,
                admission: admission,
                opening: opening
            )
        }
        box.slots.withLock { $0 = slots.map(WeakDisk.init) }
        self.slots = slots
        self.opening = opening
        guard admission.isByDigest else { return }
        do throws(GloveboxError) { _ = try disks() } catch {
            // Nobody else has the value, to let go of what may be held by now.
            if let problem = live?.release()?.problem, problem.kind == .held { throw problem }
            throw error
        }
    }

    /// The domain that `target` names; nil where it is a path.
    private static func domain(
        _ target: String,
        _ options: Options
    ) throws(GloveboxError) -> LiveDomain? {
        guard target.hasPrefix(Target.domainPrefix) else { return nil }
        return try LiveDomain(target, options: options.live, attaching: options.attaching)
    }

    /// All disks, attached.
    public func disks() throws(GloveboxError) -> [Disk] {
        var disks: [Disk] = []
        for slot in slots { disks.append(try slot.disk()) }
        return disks
    }

    /// The engine that opens what is not read natively; nil where there is none.
    package var engine: Engine? { opening.engine }

    /// The disks that have been attached so far.
    public var attachedDisks: [Disk] { slots.compactMap(\.attached) }

    /// What a user ought to know of the disks that could not be used, each with its name.
    package var warningsOfUnusableDisks: [(disk: String, warning: String)] {
        slots.flatMap { slot in slot.warningsOfFailure.map { (slot.file.name, $0) } }
    }

    /// The disk of that name, attached.
    public func disk(_ name: String) throws(GloveboxError) -> Disk {
        guard let slot = slots.first(where: { $0.file.name == name }) else {
            if let refused = live?.refused.first(where: { $0.target == name }) {
                throw refused.error
            }
            throw GloveboxError(
                .notFound,
                "\(target) has no disk \(name).",
                advice: "It has \(diskNames.joined(separator: ", "))."
            )
        }
        return try slot.disk()
    }

    /// The volume of that name.
    public func volume(_ name: GuestPath.VolumeName) throws(GloveboxError) -> Volume {
        let volumes = try disk(name.disk).volumes
        if let found = volumes.first(where: { $0.name == name }) { return found }
        guard let volume = try innerVolume(name) else {
            let known = volumes.map(\.name.description).joined(separator: ", ")
            throw GloveboxError(
                .notFound,
                "There is no volume \(name).",
                advice: known.isEmpty ? "The disk has none." : "The disk has \(known)."
            )
        }
        return volume
    }

    /// A volume that lies within others, such as `vg/root`, `md127`, `p2.luks`.
    private func innerVolume(_ name: GuestPath.VolumeName) throws(GloveboxError) -> Volume? {
        guard let engine, name.volume.isInner else { return nil }
        if let known = try engine.innerVolumes().first(where: { $0.name == name }) { return known }
        return try engine.innerVolumesAsking().first { $0.name == name }
    }

    /// The volumes that lie within those of a disk, as far as the engine has been started, or there
    /// is reason to start it: parts of groups or arrays, or encryption and a key for it.
    package func innerVolumes(of disk: Disk) throws(GloveboxError) -> [Volume] {
        guard let engine else { return [] }
        let hasReason = disk.volumes.contains { volume in
            guard let signature = (try? volume.signatures())?.first else { return false }
            return signature.usage == .raid
                || signature.type == Volume.encryptedType && engine.hasKeys
        }
        guard hasReason || engine.isRunning || opening.choice == .guestfs else { return [] }
        return try engine.innerVolumes().filter { $0.name.disk == disk.name }
    }

    /// Reads a guest path as it is written on a command line.
    public func path(_ argument: String) throws(GloveboxError) -> GuestPath {
        try GuestPath(argument, disks: diskNames)
    }

    /// The file that `path` leads to, symbolic links resolved inside the guest's tree.
    ///
    /// With `followLast` false, a symbolic link in the last place is itself the answer.
    public func file(
        _ path: GuestPath,
        followLast: Bool = true
    ) throws(GloveboxError) -> GuestFile {
        try tree(of: path).resolve(path.path, followLast: followLast)
    }

    /// The file at `argument`, a path as ``path(_:)`` reads it.
    public func file(_ argument: String) throws(GloveboxError) -> GuestFile {
        try file(path(argument))
    }

    /// The tree that `path` is looked up in: one volume, or the guest's own for a bare path.
    ///
    /// Its lookups are bound to the scope of the approval.
    package func tree(of path: GuestPath) throws(GloveboxError) -> GuestTree {
        guard let name = path.volume else {
            var tree = try guestTree()
            tree.limit = admission.limit(isOfGuestTree: true)
            return tree
        }
        let root = GuestTree.Mount(
            point: [],
            volume: name,
            fileSystem: try volume(name).fileSystem()
        )
        var tree = GuestTree(root: root)
        tree.limit = admission.limit(isOfGuestTree: false)
        return tree
    }

    /// The guest's own tree, as its fstab mounts it; without bounds, for what shows no files.
    package func guestTree() throws(GloveboxError) -> GuestTree {
        try root.get { () throws(GloveboxError) in
            let slots = slots
            let mounts = GuestMounts(count: slots.count, opening: opening) {
                (index) throws(GloveboxError) in try slots[index].disk()
            }
            return try mounts.tree()
        }
    }
}

/// The disks of an instance as its engine sees them; they own the engine, so not the reverse.
private final class DiskBox: Sendable {
    let slots = Mutex<[WeakDisk]>([])

    /// All disks that can be attached: one that cannot is left out, and what needs it is missing.
    func disks() throws(GloveboxError) -> [Disk] {
        slots.withLock { $0 }.compactMap { try? $0.disk?.disk() }
    }
}

/// A disk that is kept by somebody else.
private struct WeakDisk: Sendable {
    weak let disk: LazyDisk?

    init(_ disk: LazyDisk) { self.disk = disk }
}

extension String {
    /// Whether a volume of this name lies within others: partitions are `p` and a number.
    var isInner: Bool {
        !isEmpty && !(hasPrefix("p") && dropFirst().allSatisfy(\.isNumber))
    }
}

/// A disk that is attached when it is first asked for.
private final class LazyDisk: Sendable {
    let file: Target.DiskFile
    private let live: LiveDomain?
    private let options: Instance.Options
    private let admission: Admission
    private let opening: VolumeOpening
    private let state = Memo<Disk>()
    private let warnings = Mutex<[String]>([])

    init(
        file: Target.DiskFile,
        live: LiveDomain?,
        options: Instance.Options,
        admission: Admission,
        opening: VolumeOpening
    ) {
        self.file = file
        self.live = live
        self.options = options
        self.admission = admission
        self.opening = opening
    }

    var attached: Disk? { state.made }

    /// What came up before the disk turned out not to be usable.
    var warningsOfFailure: [String] { attached == nil ? warnings.withLock { $0 } : [] }

    func disk() throws(GloveboxError) -> Disk {
        try state.get(attach)
    }

    private func attach() throws(GloveboxError) -> Disk {
        var found: [String] = []
        defer { warnings.withLock { $0 = found } }
        let image = try image(&found)
        try admission.confirm(image)
        return try Disk(
            name: file.name,
            image: image,
            journal: options.journal,
            opening: opening
        )
    }

    private func image(_ found: inout [String]) throws(GloveboxError) -> AttachedDisk {
        if let live { return try live.image(file, warnings: &found) }
        do throws(AttachError) {
            return try Casework.attach(file.path, options: options.attaching, warnings: &found)
        } catch {
            throw GloveboxError(error)
        }
    }
}
