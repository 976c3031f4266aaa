internal import Casework
internal import Glovebox
internal import Linux
internal import Synchronization

/// The instance that a command has open, for whoever has to let go of it in a hurry.
final class HeldInstance: Sendable {
    private let instance = Mutex<Instance?>(nil)

    /// Empty; the caller takes care of interruptions.
    init() {}

    /// Empty; where `target` may come to be held, an interruption lets go of it and ends the program.
    ///
    /// To be made before the first thread is started.
    init(interruptible target: String) {
        guard target.hasPrefix(Target.domainPrefix) else { return }
        Interruption.onFirst { [self] in
            Program.exit(letGo() ?? GloveboxError.Kind.interrupted.rawValue)
        }
    }

    /// From now on this is the instance.
    func take(_ instance: Instance?) { self.instance.withLock { $0 = instance } }

    /// Lets go of the instance; what became of it is for others to say.
    func release() {
        let instance = instance.withLock { $0 }
        _ = instance?.release()
    }

    /// Lets go of the instance; the exit code where that did not succeed.
    func letGo() -> Int32? {
        let instance = instance.withLock { $0 }
        guard let problem = instance?.release()?.problem, problem.kind == .held else { return nil }
        Message.say("glovebox: \(problem)")
        return problem.kind.rawValue
    }

    /// What is to be thrown where `error` ended a command, and `release` is what became of the hold.
    ///
    /// That something is still held, or was not held to the end, comes first: it may be why.
    static func error(_ error: any Error, after release: HoldReport?) -> any Error {
        guard let problem = release?.problem else { return error }
        if let error = error as? GloveboxError { Message.warn("\(error)") }
        return problem
    }
}
