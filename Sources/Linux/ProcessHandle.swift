internal import CLinux
internal import Glibc

/// A process that somebody else started, held so that its number's next owner is not met instead.
package struct ProcessHandle: Sendable {
    private let descriptor: FileDescriptor

    /// Takes hold of the process that has this number now; nil where there is none (pidfd_open(2)).
    package init?(_ process: Int32) throws(SystemError) {
        let number = glovebox_pidfd_open(process)
        if number < 0, errno == ESRCH { return nil }
        guard number >= 0 else { throw .last("pidfd_open", "process \(process)") }
        descriptor = FileDescriptor(adopting: number, path: "process \(process)")
    }

    /// Kills it; false where it has ended, or may not be killed by us.
    package func kill() -> Bool { glovebox_pidfd_signal(descriptor.number, SIGKILL) == 0 }

    /// Whether it has ended by `deadline` of ``monotonicNanoseconds()``.
    package func hasEnded(by deadline: UInt64) -> Bool {
        let ready = try? waitForAny(of: [(descriptor.number, .readable)], deadline: deadline)
        return ready?.first?.isEmpty == false
    }
}
