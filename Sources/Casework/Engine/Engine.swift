package import DiskFormats
internal import EngineProtocol
internal import Synchronization

/// Which reader opens a volume.
public enum EngineChoice: String, Sendable, CaseIterable {
    /// The native one alone; nothing is started.
    case native
    /// The appliance of libguestfs alone.
    case guestfs
    /// The native one where it knows all that the volume uses, else the appliance.
    case auto
}

/// The appliance for the disks of one instance, started when something first needs it.
///
/// All disks go into one appliance, so that volume groups and arrays over several are whole.
package final class Engine: Sendable {
    /// What an engine needs to know.
    package struct Setup: Sendable {
        /// Starts the processes.
        package var launcher: any EngineLauncher
        /// Passphrases that are tried on every encrypted volume.
        package var keys: [[UInt8]]
        /// Asks a person for the passphrase of a volume; nil where nobody is there.
        package var askKey: (@Sendable (String) -> [UInt8]?)?
        /// Hears how far the start is.
        package var progress: @Sendable (String) -> Void
        /// Hears what a user ought to know, such as what this host cannot confine.
        package var warn: @Sendable (String) -> Void
        /// Memory of the appliance in MiB; 0 leaves it to libguestfs.
        package var memoryMiB: UInt32

        package init(
            launcher: any EngineLauncher,
            keys: [[UInt8]] = [],
            askKey: (@Sendable (String) -> [UInt8]?)? = nil,
            progress: @escaping @Sendable (String) -> Void = { _ in },
            warn: @escaping @Sendable (String) -> Void = { _ in },
            memoryMiB: UInt32 = 0
        ) {
            self.launcher = launcher
            self.keys = keys
            self.askKey = askKey
            self.progress = progress
            self.warn = warn
            self.memoryMiB = memoryMiB
        }
    }

    private let setup: Setup
    private let journal: JournalPolicy
    /// Whether the worker keeps keys, for the appliances that checks start.
    private let isForChecks: Bool
    private let disks: @Sendable () throws(GloveboxError) -> [Disk]
    private let running = Memo<Running>()
    private let inner = Mutex<[Volume]?>(nil)
    /// A person is asked once.
    private let hasAsked = Mutex(false)

    fileprivate struct Running: Sendable {
        let client: WorkerClient
        let usesKVM: Bool
    }

    /// An engine for `disks`, which are attached when it starts.
    package init(
        _ setup: Setup,
        journal: JournalPolicy,
        isForChecks: Bool = false,
        disks: @escaping @Sendable () throws(GloveboxError) -> [Disk]
    ) {
        self.setup = setup
        self.journal = journal
        self.isForChecks = isForChecks
        self.disks = disks
    }

    /// Whether the appliance runs; does not start it.
    package var isRunning: Bool { running.made != nil }

    /// Whether the appliance runs with KVM; nil where none runs.
    package var usesKVM: Bool? { running.made?.usesKVM }

    /// Whether passphrases were given, so that encrypted volumes are worth a start.
    package var hasKeys: Bool { !setup.keys.isEmpty }

    /// The volumes within others that have been listed so far.
    package var knownInnerVolumes: [Volume] { inner.withLock { $0 } ?? [] }

    /// Mounts a volume in the appliance.
    package func fileSystem(
        of name: GuestPath.VolumeName
    ) throws(GloveboxError) -> any FileSystem {
        let client = try start().client
        do throws(WorkerFailure) {
            let mount = try client.open(
                disk: name.disk,
                volume: name.volume,
                replay: journal == .replay
            )
            return EngineFileSystem(client, mount)
        } catch {
            throw GloveboxError(error, at: "\(name)")
        }
    }

    /// The volumes that lie within others: logical volumes, arrays, unlocked volumes.
    ///
    /// Encrypted ones are unlocked with the passphrases that were given.
    package func innerVolumes() throws(GloveboxError) -> [Volume] {
        let client = try start().client
        if let known = inner.withLock({ $0 }) { return known }
        try unlockAll(client) { _, _ in nil }
        return try list(client)
    }

    /// An engine of its own for checks, which starts as this one does, for some of the disks.
    package func forChecks(of disks: [Disk]) -> Engine {
        Engine(setup, journal: journal, isForChecks: true) { disks }
    }

    /// Has volumes checked, by a request of the module Checkers; the appliance ends with that.
    package func check(
        _ request: [UInt8],
        countMax: Int
    ) throws(GloveboxError) -> [[UInt8]] {
        let client = try start().client
        defer { setup.progress("") }
        do throws(WorkerFailure) {
            return try client.check(request, countMax: countMax) { text in
                setup.progress(GuestName.escaped([UInt8](text.utf8)))
            }
        } catch {
            throw GloveboxError(error, at: "The engine")
        }
    }

    private func askedBefore() -> Bool {
        hasAsked.withLock { asked in
            defer { asked = true }
            return asked
        }
    }

    /// Whether a person can be asked for the passphrase of a volume that is still locked.
    package func mayAsk() throws(GloveboxError) -> Bool {
        guard setup.askKey != nil else { return false }
        return try !lockedVolumes(try start().client).isEmpty
    }

    /// The volumes within others, after a person was asked for the passphrases of what is locked.
    package func innerVolumesAsking() throws(GloveboxError) -> [Volume] {
        let before = try innerVolumes()
        guard let askKey = setup.askKey, !askedBefore() else {
            return before
        }
        let client = try start().client
        try unlockAll(client) { volume, attempt in attempt < 3 ? askKey(volume) : nil }
        return try list(client)
    }
}

extension Engine {
    private func start() throws(GloveboxError) -> Running {
        try running.get { () throws(GloveboxError) in
            let disks = try disks()
            setup.progress("starting the engine")
            let processes = try setup.launcher.start(disks.map(\.image))
            guard processes.sockets.count == disks.count else {
                throw GloveboxError(.unreadable, "The engine did not serve all disks.")
            }
            for warning in processes.warnings {
                setup.progress("")
                setup.warn(warning)
            }
            let hold = disks.lazy.compactMap(\.image.hold).first
            let client = WorkerClient(processes, hold: hold)
            let exports = zip(disks, processes.sockets).map { disk, socket in
                WorkerDisk(
                    name: disk.name,
                    socket: socket,
                    byteCount: disk.image.source.byteCount
                )
            }
            let launch = WorkerLaunch(
                disks: exports,
                directory: processes.directory,
                memoryMiB: setup.memoryMiB
            )
            do throws(WorkerFailure) {
                let usesKVM = try client.launch(launch) { text in
                    setup.progress(GuestName.escaped([UInt8](text.utf8)))
                }
                setup.progress("")
                return Running(client: client, usesKVM: usesKVM)
            } catch {
                throw GloveboxError(error, at: "The engine")
            }
        }
    }

    private func list(_ client: WorkerClient) throws(GloveboxError) -> [Volume] {
        let found: [WorkerVolume]
        do throws(WorkerFailure) { found = try client.volumes() } catch {
            throw GloveboxError(error, at: "The engine")
        }
        return inner.withLock { known in
            // A volume that is known already keeps the file system that it has opened.
            let volumes = found.map { volume -> Volume in
                let name = GuestPath.VolumeName(disk: volume.disk, volume: volume.name)
                return known?.first { $0.name == name } ?? Volume(name: name, volume, engine: self)
            }
            known = volumes
            return volumes
        }
    }

    /// Encrypted volumes, and whether the volume within is to be seen.
    private func lockedVolumes(
        _ client: WorkerClient
    ) throws(GloveboxError) -> [GuestPath.VolumeName] {
        var encrypted: [GuestPath.VolumeName] = []
        for volume in try disks().flatMap(\.volumes)
        where (try? volume.signatures())?.first?.type == Volume.encryptedType {
            encrypted.append(volume.name)
        }
        let found: [WorkerVolume]
        do throws(WorkerFailure) { found = try client.volumes() } catch {
            throw GloveboxError(error, at: "The engine")
        }
        for volume in found where volume.type == Volume.encryptedType {
            encrypted.append(GuestPath.VolumeName(disk: volume.disk, volume: volume.name))
        }
        return encrypted.filter { outer in
            !found.contains { $0.disk == outer.disk && $0.name == outer.unlocked.volume }
        }
    }

    /// Tries all passphrases on all volumes, those that come to light meanwhile included.
    private func unlockAll(
        _ client: WorkerClient,
        ask: (String, Int) -> [UInt8]?
    ) throws(GloveboxError) {
        var refused: Set<GuestPath.VolumeName> = []
        while true {
            let locked = try lockedVolumes(client).filter { !refused.contains($0) }
            guard let volume = locked.first else { return }
            if try !unlock(volume, client, ask) { refused.insert(volume) }
        }
    }

    private func unlock(
        _ volume: GuestPath.VolumeName,
        _ client: WorkerClient,
        _ ask: (String, Int) -> [UInt8]?
    ) throws(GloveboxError) -> Bool {
        var keys = setup.keys[...]
        var attempt = 0
        while true {
            var key = keys.popFirst()
            if key == nil {
                key = ask(volume.description, attempt)
                attempt += 1
            }
            guard let key else { return false }
            do throws(WorkerFailure) {
                try client.unlock(
                    disk: volume.disk,
                    volume: volume.volume,
                    key: key,
                    keep: isForChecks
                )
                return true
            } catch {
                if error.kind != .wrongKey { throw GloveboxError(error, at: "\(volume)") }
            }
        }
    }
}

extension GuestPath.VolumeName {
    /// What an encrypted volume holds once it is unlocked.
    package var unlocked: GuestPath.VolumeName {
        GuestPath.VolumeName(disk: disk, volume: volume.isEmpty ? "luks" : "\(volume).luks")
    }
}

extension GloveboxError {
    /// What the worker could not do, said of `object`.
    init(_ failure: WorkerFailure, at object: String) {
        let text = GuestName.escaped([UInt8](failure.message.utf8))
        let kind: Kind =
            switch failure.kind {
            case .noVolume, .noEntry: .notFound
            case .wrongKey: .refused
            case .appliance, .channel, .disk, .request: .unreadable
            }
        let advice =
            failure.kind == .appliance || failure.kind == .channel
            ? "`libguestfs-test-tool` shows whether libguestfs works here." : ""
        self.init(kind, "\(object): \(text).", advice: advice)
    }
}
