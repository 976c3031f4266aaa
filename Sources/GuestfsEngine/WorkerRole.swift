internal import EngineProtocol
internal import Glibc
internal import Linux

/// The process that talks to the appliance: one for each instance.
///
/// It sees nothing but exports, answers one request after another, and ends with its channel.
package enum WorkerRole {
    /// Answers what comes over descriptor 3; returns the exit code.
    package static func run() -> CInt {
        guard fcntl(3, F_GETFD) >= 0 else {
            HypervisorProcess.complain("glovebox-engine worker: descriptor 3 is no channel")
            return 2
        }
        _ = fcntl(3, F_SETFD, FD_CLOEXEC)
        return serve(Channel(FileDescriptor(adopting: 3, path: "the channel to glovebox")))
    }

    /// Answers until the other side is gone.
    static func serve(_ channel: Channel) -> CInt {
        let worker = Worker(channel)
        do throws(SystemError) {
            while let message = try channel.receive() { try worker.answer(message) }
            return 0
        } catch {
            // Whoever ended the conversation knows; others need a line for their logs.
            if error.name != "EPIPE" {
                HypervisorProcess.complain("glovebox-engine worker: \(error)")
            }
            return error.name == "EPIPE" ? 0 : 70
        }
    }
}
