internal import CGuestfs
internal import EngineProtocol
internal import Glibc
internal import Linux

/// A running appliance with the instance's disks as read-only drives.
///
/// libguestfs puts a throw-away layer over each: what the appliance's kernel writes when it replays a
/// journal goes there, and nowhere else.
final class Appliance {
    let handle: GuestfsHandle
    /// The label of each disk, in the order of ``WorkerLaunch/disks``.
    let labels: [String]
    let disks: [WorkerDisk]
    let usesKVM: Bool
    // Held for the handle, which calls it.
    private let watch: LaunchWatch
    /// Limits the time of checks; there where there are any.
    var checkWatch: HypervisorWatch?
    /// The devices of volumes, for checks; nil where they have not been looked for.
    var volumes: VolumeMap?
    /// What opens encrypted volumes, for checks.
    var keys: KeyRing?

    /// With KVM an appliance boots in seconds; one that is silent hangs.
    ///
    /// Without it, minutes pass on a busy host, but never in silence.
    private static let limitsWithKVM = LaunchWatch.Limits(silence: 25, whole: 180)
    private static let limits = LaunchWatch.Limits(silence: 180, whole: 1_200)

    /// Starts one; where KVM fails or hangs, a second one without it.
    static func start(
        _ launch: WorkerLaunch,
        progress: @escaping @Sendable (String) -> Void
    ) throws(WorkerFailure) -> Appliance {
        guard launch.mayUseKVM, !isToldNotToUseKVM, unsafe access("/dev/kvm", R_OK | W_OK) == 0
        else {
            return try attempt(launch, usesKVM: false, progress)
        }
        let first: WorkerFailure
        do throws(WorkerFailure) {
            return try attempt(launch, usesKVM: true, progress)
        } catch {
            progress("KVM does not work here: once more without it, which takes longer")
            first = error
        }
        do throws(WorkerFailure) {
            return try attempt(launch, usesKVM: false, progress)
        } catch {
            throw WorkerFailure(.appliance, "\(error.message) (and with KVM: \(first.message))")
        }
    }

    /// Whoever knows that KVM does not work here says so as to every program of libguestfs
    /// (guestfs(3), LIBGUESTFS_BACKEND_SETTINGS), and is spared an attempt that can only fail.
    private static var isToldNotToUseKVM: Bool {
        guard let settings = unsafe getenv("LIBGUESTFS_BACKEND_SETTINGS") else { return false }
        return unsafe String(cString: settings).split(separator: ":").contains("force_tcg")
    }

    /// Starts one; where that fails, nothing of it is left.
    private static func attempt(
        _ launch: WorkerLaunch,
        usesKVM: Bool,
        _ progress: @escaping @Sendable (String) -> Void
    ) throws(WorkerFailure) -> Appliance {
        let before = HypervisorProcess.children()
        do throws(WorkerFailure) {
            return try Appliance(launch, usesKVM: usesKVM, progress)
        } catch {
            // libguestfs does not wait for a QEMU that has ended by itself.
            HypervisorProcess.end(HypervisorProcess.children().subtracting(before))
            throw error
        }
    }

    private init(
        _ launch: WorkerLaunch,
        usesKVM: Bool,
        _ progress: @escaping @Sendable (String) -> Void
    ) throws(WorkerFailure) {
        let watch = LaunchWatch(report: progress)
        let labels = launch.disks.indices.map(Self.label)
        do throws(GuestfsError) {
            let handle = try GuestfsHandle()
            try handle.connect(watch)
            try handle.configure(launch, usesKVM: usesKVM)
            for (disk, label) in zip(launch.disks, labels) {
                try handle.addDrive(socket: disk.socket, label: label)
            }
            progress("starting the appliance\(usesKVM ? "" : " without KVM")")
            try watch.during(usesKVM ? Self.limitsWithKVM : Self.limits) {
                () throws(GuestfsError) in try handle.launch()
            }
            self.handle = handle
        } catch {
            // The library's own text goes on with advice about its environment variables.
            let text = error.message.split(separator: "\n").first.map(String.init)
            let reason = watch.verdict ?? text ?? ""
            let console = watch.consoleTail
            throw WorkerFailure(
                .appliance,
                console.isEmpty ? reason : "\(reason) Its console: \(console)"
            )
        }
        self.watch = watch
        self.labels = labels
        self.disks = launch.disks
        self.usesKVM = usesKVM
    }

    /// 1 to 20 letters, as add_drive wants them; never a prefix of another, since partitions get
    /// digits after them.
    private static func label(_ index: Int) -> String {
        let letters = Array("abcdefghijklmnopqrstuvwxyz")
        return "disk\(letters[index / 26 % 26])\(letters[index % 26])"
    }
}

extension GuestfsHandle {
    fileprivate func configure(_ launch: WorkerLaunch, usesKVM: Bool) throws(GuestfsError) {
        try check(unsafe guestfs_set_backend(pointer, "direct"))
        let accelerator = usesKVM ? "force_kvm" : "force_tcg"
        try check(unsafe guestfs_set_backend_setting(pointer, accelerator, "1"))
        try check(unsafe guestfs_set_tmpdir(pointer, launch.directory))
        // The appliance's own files are built once and kept, wherever TMPDIR is.
        if unsafe getenv("LIBGUESTFS_CACHEDIR") == nil {
            try check(unsafe guestfs_set_cachedir(pointer, "/var/tmp"))
        }
        // A process of libguestfs' own that kills QEMU when we die would itself be left behind.
        try check(unsafe guestfs_set_recovery_proc(pointer, 0))
        try check(unsafe guestfs_set_autosync(pointer, 0))
        try check(unsafe guestfs_set_network(pointer, 0))
        if launch.memoryMiB > 0 {
            try check(unsafe guestfs_set_memsize(pointer, CInt(clamping: launch.memoryMiB)))
        }
        let real = String(decoding: unsafe try text(guestfs_get_hv(pointer)), as: UTF8.self)
        if let wrapper = ApplianceRole.wrapper(of: real, in: launch.directory) {
            try check(unsafe guestfs_set_hv(pointer, wrapper))
        }
    }

    fileprivate func launch() throws(GuestfsError) {
        try check(unsafe guestfs_launch(pointer))
    }
}
