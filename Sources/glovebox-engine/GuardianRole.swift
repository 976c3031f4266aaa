internal import EngineProtocol
internal import Linux

/// `glovebox-engine guardian`: holds everything outside the front process, and cleans up after it.
///
/// Whatever ends the front, the guardian finds the end of its channel, kills all that it has started
/// with all that came of it, removes the one directory, and ends. Signals of a terminal do not reach
/// it. It has one thread that starts processes, since they end with the thread that started them.
enum GuardianRole {
    private static let firstMessageSeconds = 10.0

    static func run() throws(EngineFailure) {
        OwnProcess.ignoreTerminationSignals()
        let control = Channel(.inherited(EngineDescriptor.control, "the front's channel"))
        let first: [UInt8]?
        do throws(SystemError) {
            try OwnProcess.adoptOrphans()
            first = try control.receive(deadline: deadline(inSeconds: firstMessageSeconds))
        } catch {
            throw EngineFailure(error)
        }
        guard let first else { return }
        guard case .start(let directory, let disks)? = try? GuardianRequest(first) else {
            throw EngineFailure("The guardian's first message makes no sense.")
        }
        do throws(SystemError) { try makeDirectory(directory) } catch {
            try? control.send(GuardianReport.failed("\(error).").bytes)
            throw EngineFailure(error)
        }
        let failure = Guardian.work(control, directory, disks)
        cleanUp(directory)
        if let failure {
            // What was held is free by now, so that whoever reads this can act on it.
            try? control.send(GuardianReport.failed(failure.message).bytes)
            throw failure
        }
    }

    /// Makes the directory, which must not exist.
    private static func makeDirectory(_ path: String) throws(SystemError) {
        let parts = path.split(separator: "/")
        let above = try FileDescriptor.openDirectory(
            "/" + parts.dropLast().joined(separator: "/")
        )
        try above.makeDirectory([UInt8]((parts.last ?? "").utf8))
    }

    private static func cleanUp(_ directory: String) {
        let end = deadline(inSeconds: 4)
        _ = try? ProcessTable.endSession(of: OwnProcess.processID, deadline: end)
        // The front tries once more, should this fail.
        try? EngineRemains.remove(directory)
    }
}
