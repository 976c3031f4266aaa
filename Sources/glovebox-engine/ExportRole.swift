internal import EngineProtocol
internal import Linux

/// `glovebox-engine export PARENT [shared] FORMAT…`: confines itself, and becomes the qemu-nbd of one disk.
///
/// Descriptor 3 is the socket that listens; from 4 on there are the files of the layers, the image
/// itself first. With `shared` no locks are taken: the instance that has them open is held by other
/// means. As root it first becomes ``Nobody``; QEMU opens each file anew, which has to be
/// allowed.
enum ExportRole {
    /// Enough for the tables of large images; libraries and threads take most of it.
    private static let memoryMax: UInt64 = 1 << 30

    /// The word for disks that somebody else may have open for writing.
    static let shared = "shared"

    static func run(_ arguments: [String]) throws(EngineFailure) {
        let own: [String]
        do throws(SystemError) {
            own = try Nobody.become("export", arguments, environment: { environment })
        } catch {
            throw EngineFailure(error)
        }
        guard own.count >= 2, let parent = Int32(own[0]) else {
            throw EngineFailure(
                "An export needs its parent and the formats of its layers.",
                code: 2
            )
        }
        let isShared = own.count > 1 && own[1] == shared
        let names = own.dropFirst(isShared ? 2 : 1)
        let layers = names.compactMap(LayerFormat.init(name:))
        guard !layers.isEmpty, layers.count == names.count,
            layers.count <= GuardianRequest.layersMax
        else {
            throw EngineFailure("The formats of an export make no sense.", code: 2)
        }
        do throws(SystemError) {
            // After the change of user, which would undo it.
            try OwnProcess.dieWith(parent: parent)
            try confine(layers.count)
            try serve(Array(layers), isShared: isShared)
        } catch {
            throw EngineFailure(error)
        }
    }

    private static func confine(_ layerCount: Int) throws(SystemError) {
        try OwnProcess.renouncePrivileges()
        var confinement = Confinement()
        for index in 0..<layerCount {
            confinement.allowReading(inherited: EngineDescriptor.firstLayer + Int32(index))
        }
        confinement.allowReading(try HostProgram.path("qemu-nbd"), executing: true)
        for path in HostProgram.libraries { confinement.allowReading(path, executing: true) }
        for path in HostProgram.settings { confinement.allowReading(path) }
        // Where there is no Landlock the guardian has said so.
        _ = try confinement.apply()
        try OwnProcess.set(.coreSize(0))
        try OwnProcess.set(.fileSize(0))
        try OwnProcess.set(.openFiles(256))
        try OwnProcess.set(.stack(1 << 20))
        try OwnProcess.set(.addressSpace(memoryMax))
    }

    private static func serve(
        _ layers: [LayerFormat],
        isShared: Bool
    ) throws(SystemError) -> Never {
        try OwnProcess.become(
            HostProgram.path("qemu-nbd"),
            arguments: [
                "-r", "-t", "-e", "0", "-A", description(of: layers, isShared: isShared),
            ],
            environment: environment + ["LISTEN_FDS=1", "LISTEN_PID=\(OwnProcess.processID)"]
        )
    }

    /// One arena of memory instead of one a thread, each of which reserves 64 MiB.
    private static let environment = EngineEnvironment.fixed + ["MALLOC_ARENA_MAX=1"]

    /// The whole chain as QEMU is to see it, whatever the headers say by now.
    static func description(of layers: [LayerFormat], isShared: Bool) -> String {
        var text = "null"
        for (index, format) in layers.enumerated().reversed() {
            let number = EngineDescriptor.firstLayer + Int32(index)
            let file = """
                {"driver":"file","filename":"/proc/self/fd/\(number)"}
                """
            // What is said of the first node holds for those beneath it.
            let sharing = isShared && index == 0 ? ",\"force-share\":true" : ""
            let backing = format == .qcow2 ? ",\"backing\":\(text)" : ""
            text = "{\"driver\":\"\(format.name)\"\(sharing),\"file\":\(file)\(backing)}"
        }
        return "json:\(text)"
    }
}
