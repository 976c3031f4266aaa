internal import EngineProtocol
internal import Linux

/// The guardian's work: serving disks, and watching over what serves them.
struct Guardian {
    private let control: Channel
    private let directory: String
    private let workerEnd: FileDescriptor
    private var exports: [DiskExport] = []
    private var worker: Helper?
    private let watch: ExportWatch
    private let warnings: [String]

    /// How long a disk's server may take until it answers; one more for each that starts beside it.
    private static let readySeconds = 30.0
    /// How long the rest of a message may take once it has begun.
    private static let messageSeconds = 2.0

    /// Works until the front ends the conversation; returns why it cannot go on otherwise.
    static func work(
        _ control: Channel,
        _ directory: String,
        _ disks: [[LayerFormat]],
        areShared: Bool,
        warnings: [String]
    ) -> EngineFailure? {
        do throws(EngineFailure) {
            var guardian = try Guardian(control, directory, disks, areShared, warnings)
            try guardian.loop()
            return nil
        } catch {
            return error
        }
    }

    private init(
        _ control: Channel,
        _ directory: String,
        _ disks: [[LayerFormat]],
        _ areShared: Bool,
        _ warnings: [String]
    ) throws(EngineFailure) {
        self.warnings = warnings
        self.control = control
        self.directory = directory
        workerEnd = .inherited(EngineDescriptor.worker, "the worker's channel")
        do throws(SystemError) {
            watch = try ExportWatch()
            var number = EngineDescriptor.firstFile
            for (index, layers) in disks.enumerated() {
                let files = layers.map { _ in
                    defer { number += 1 }
                    return FileDescriptor.inherited(number, "disk \(index)")
                }
                exports.append(try DiskExport(index, directory, layers, files, areShared))
            }
        } catch {
            throw EngineFailure(error)
        }
        let seconds = Self.readySeconds + Double(exports.count)
        for (index, export) in exports.enumerated() {
            watch.begin(index, export.socket, readySeconds: seconds)
        }
    }

    private mutating func loop() throws(EngineFailure) {
        if exports.isEmpty { try report(.ready(exports: [], warnings: warnings)) }
        while true {
            let ready = try wait()
            if ready[1] { try takeNotes() }
            for index in exports.indices { try look(atExport: index) }
            try lookAtWorker()
            if ready[0], try !obey() { return }
        }
    }

    /// Waits for anything to happen: whether the front has spoken, and whether a watcher has.
    private func wait() throws(EngineFailure) -> [Bool] {
        var numbers: [(CInt, Readiness)] = [
            (control.descriptor.number, .readable), (watch.signal.number, .readable),
        ]
        for helper in exports.map(\.helper) + [worker].compactMap(\.self) {
            numbers += helper.awaited.map { ($0, .readable) }
        }
        do throws(SystemError) {
            return try waitForAny(of: numbers, deadline: nil).map { !$0.isEmpty }
        } catch {
            throw EngineFailure(error)
        }
    }

    /// Carries out a request; false where the front has ended the conversation.
    private mutating func obey() throws(EngineFailure) -> Bool {
        let message: [UInt8]?
        do throws(SystemError) {
            message = try control.receive(deadline: deadline(inSeconds: Self.messageSeconds))
        } catch {
            return false
        }
        guard let message else { return false }
        guard case .startWorker? = try? GuardianRequest(message), worker == nil else {
            throw EngineFailure("The guardian was asked for what it cannot do.")
        }
        try startWorker()
        return true
    }

    private mutating func startWorker() throws(EngineFailure) {
        let place = EngineRemains.workerDirectory(in: directory)
        do throws(SystemError) {
            worker = try Helper(
                OwnProcess.program(),
                ["worker", "\(OwnProcess.processID)", place],
                environment: EngineEnvironment.fixed + [
                    "TMPDIR=\(place)", "LIBGUESTFS_BACKEND=direct",
                ] + OwnProcess.variables(EngineEnvironment.passedOn),
                descriptors: [EngineDescriptor.control: workerEnd]
            )
            // Ours would keep the front from finding the end of the worker.
            try workerEnd.close()
        } catch {
            throw EngineFailure(error)
        }
        try report(.workerStarted)
    }

    private mutating func lookAtWorker() throws(EngineFailure) {
        guard var helper = worker else { return }
        let ended = helper.look()
        worker = helper
        if let ended { try report(.workerEnded("The engine's worker \(ended)")) }
    }

    private mutating func look(atExport index: Int) throws(EngineFailure) {
        guard let ended = exports[index].helper.look() else { return }
        throw EngineFailure("The server of disk \(index) \(ended)")
    }

    private mutating func takeNotes() throws(EngineFailure) {
        for note in watch.notes() {
            switch note {
            case .ready(let index, let byteCount): exports[index].byteCount = byteCount
            case .failed(let index, let reason):
                // Its own words tell more than that it did not answer.
                let ended = exports[index].helper.lookAgain(within: 0.2)
                throw EngineFailure(
                    "The server of disk \(index) " + (ended ?? "does not serve it: \(reason).")
                )
            }
            guard exports.allSatisfy({ $0.byteCount != nil }) else { continue }
            let ready = exports.map {
                GuardianReport.Export(socket: $0.socket, byteCount: $0.byteCount ?? 0)
            }
            try report(.ready(exports: ready, warnings: warnings))
        }
    }

    private func report(_ report: GuardianReport) throws(EngineFailure) {
        // Where the front has gone, its end of the channel says so in the next turn.
        try? control.send(report.bytes)
    }
}

/// One disk that is served, by a qemu-nbd of its own.
private struct DiskExport {
    let socket: String
    var helper: Helper
    /// The size that it says it has, once it answers.
    var byteCount: UInt64?

    /// Starts the server on the files of `layers`, the image itself first.
    init(
        _ index: Int,
        _ directory: String,
        _ layers: [LayerFormat],
        _ files: [FileDescriptor],
        _ isShared: Bool
    ) throws(SystemError) {
        socket = "\(directory)/disk-\(index)"
        var descriptors = [EngineDescriptor.listener: try FileDescriptor.listening(at: socket)]
        if Privilege.isRoot {
            // The worker is to connect to it.
            try FileDescriptor.openDirectory(directory).setOwner(
                of: [UInt8]("disk-\(index)".utf8),
                user: Nobody.userID,
                group: Nobody.userID
            )
        }
        for (layer, file) in files.enumerated() {
            descriptors[EngineDescriptor.firstLayer + CInt(layer)] = file
        }
        helper = try Helper(
            OwnProcess.program(),
            ["export", "\(OwnProcess.processID)"] + (isShared ? [ExportRole.shared] : [])
                + layers.map(\.name),
            environment: EngineEnvironment.fixed,
            descriptors: descriptors
        )
    }
}
