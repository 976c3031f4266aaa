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
        guard case .start(let directory, let disks, let areShared)? = try? GuardianRequest(first)
        else {
            throw EngineFailure("The guardian's first message makes no sense.")
        }
        // Held until the end: what marks the directory as in use.
        let lock: FileDescriptor
        do throws(SystemError) {
            EngineRemains.sweep(EngineRemains.split(directory).parent)
            lock = try EngineRemains.make(directory)
        } catch {
            try? control.send(GuardianReport.failed("\(error).").bytes)
            throw EngineFailure(error)
        }
        let warnings = [Confinement.shortfall, leaveNetwork()].compactMap(\.self)
        let failure = Guardian.work(
            control,
            directory,
            disks,
            areShared: areShared,
            warnings: warnings
        )
        cleanUp(directory)
        withExtendedLifetime(lock) {}
        if let failure {
            // What was held is free by now, so that whoever reads this can act on it.
            try? control.send(GuardianReport.failed(failure.message).bytes)
            throw failure
        }
    }

    /// Nothing that is started has any use for a network; what a user ought to know.
    private static func leaveNetwork() -> String? {
        // Another user may not; Landlock refuses TCP to them.
        guard Privilege.isRoot else { return nil }
        do throws(SystemError) { try OwnProcess.leaveNetwork() } catch {
            return "The engine's processes could not be cut off from the network: \(error)."
        }
        return nil
    }

    private static func cleanUp(_ directory: String) {
        let end = deadline(inSeconds: 4)
        _ = try? ProcessTable.endSession(of: OwnProcess.processID, deadline: end)
        // The front tries once more, should this fail.
        try? EngineRemains.remove(directory)
    }
}
