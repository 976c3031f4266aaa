internal import EngineProtocol
internal import Glibc
internal import GuestfsEngine
internal import Linux

/// `glovebox-engine worker PARENT DIRECTORY`: confines itself, and serves as the worker.
///
/// What it may write: its directory, and libguestfs' cache. What it may read: the system's programs
/// and libraries, the kernel and its modules, and of the settings what everybody may read. The
/// appliance's QEMU inherits that. As root it first becomes ``Nobody``.
enum WorkerEntry {
    static func run(_ arguments: [String]) throws(EngineFailure) -> CInt {
        do throws(SystemError) {
            let arguments = try Nobody.become(
                "worker",
                arguments,
                groups: HostDevice.groupOfKVM.map { [$0] } ?? [],
                prepare: { () throws(SystemError) in try prepareForNobody(arguments) },
                environment: {
                    EngineEnvironment.fixed + OwnProcess.variables(EngineEnvironment.ofWorker)
                }
            )
            guard arguments.count == 2, let parent = Int32(arguments[0]),
                arguments[1].hasPrefix("/")
            else { throw SystemError(call: "worker", path: "", errno: EINVAL) }
            // After the change of user, which would undo it.
            try OwnProcess.dieWith(parent: parent)
            try confine(arguments[1])
        } catch {
            throw EngineFailure(error)
        }
        return WorkerRole.run()
    }

    private static func prepareForNobody(_ arguments: [String]) throws(SystemError) {
        guard let directory = arguments.last, directory.hasPrefix("/") else {
            throw SystemError(call: "worker", path: "", errno: EINVAL)
        }
        try FileDescriptor.makeDirectory(at: directory)
        try FileDescriptor.openDirectory(directory)
            .setOwner(user: Nobody.userID, group: Nobody.userID)
        ApplianceCache.prepareForNobody()
    }

    private static func confine(_ directory: String) throws(SystemError) {
        try FileDescriptor.makeDirectory(at: directory)
        try OwnProcess.renouncePrivileges()
        var confinement = Confinement()
        confinement.allowWriting(directory)
        confinement.allowWriting(ApplianceCache.prepare(orIn: directory))
        for path in HostDevice.written { confinement.allowWriting(path) }
        confinement.allowReading(try OwnProcess.program(), executing: true)
        for path in HostProgram.all { confinement.allowReading(path, executing: true) }
        for path in HostProgram.system { confinement.allowReading(path) }
        confinement.allowReadingWhatIsPublic(in: "/etc")
        for name in ["LIBGUESTFS_PATH", "LIBGUESTFS_HV"] {
            for path in (OwnProcess.variable(name) ?? "").split(separator: ":") {
                confinement.allowReading(String(path), executing: true)
            }
        }
        // Where there is no Landlock the guardian has said so.
        _ = try confinement.apply()
        // Memory holds the guest's data.
        try OwnProcess.set(.coreSize(0))
    }
}

/// Devices that the appliance needs.
enum HostDevice {
    private static let kvm = "/dev/kvm"
    static let written = ["/dev/null", kvm]

    /// The group that may use KVM; nil where there is none, or it needs none.
    static var groupOfKVM: UInt32? {
        guard let status = try? FileDescriptor.open(kvm, FileDescriptor.pathOnly).status(),
            status.permissions & 0o060 == 0o060, status.groupID != 0
        else { return nil }
        return status.groupID
    }
}
