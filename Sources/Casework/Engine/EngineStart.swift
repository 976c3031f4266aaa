internal import EngineProtocol

/// Where commands get what starts the engine.
package enum EngineStart {
    /// What starts the engine; nil where it is not installed and `isNeeded` is false.
    package static func launcher(
        path: String?,
        isNeeded: Bool
    ) throws(GloveboxError) -> (any EngineLauncher)? {
        do throws(GloveboxError) {
            return SessionLauncher(program: try EngineProgram.find(path))
        } catch {
            if isNeeded || path != nil { throw error }
            return nil
        }
    }
}

/// Starts the engine by a guardian.
private struct SessionLauncher: EngineLauncher {
    let program: String

    func start(_ disks: [AttachedDisk]) throws(GloveboxError) -> EngineProcesses {
        let session = try EngineSession(
            serving: disks,
            options: EngineSession.Options(program: program)
        )
        return EngineProcesses(
            channel: try session.startWorker(),
            sockets: session.exports.map(\.socket),
            directory: EngineRemains.workerDirectory(in: session.directory),
            warnings: session.warnings,
            owner: session
        )
    }
}
