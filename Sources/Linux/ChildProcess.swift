internal import CLinux
internal import Glibc

/// A process that this one started, known by a descriptor that no other process can take over.
///
/// It is not ended with its value: whoever starts a process sees to its end.
package final class ChildProcess: Sendable {
    /// What to start.
    package struct Plan: Sendable {
        /// The path of the program; no search in PATH takes place.
        package var program: String
        /// Its arguments, without the name of the program.
        package var arguments: [String]
        /// All of its environment, as `NAME=value`.
        package var environment: [String]
        /// The descriptors that it inherits, by the numbers that it finds them under; no others.
        package var descriptors: [CInt: FileDescriptor]
        /// Whether it leads a session of its own, so that no terminal's signals reach it.
        package var newSession = false
        /// Whether it is killed when the thread that starts it ends.
        package var diesWithThread = false

        /// A program with nothing but standard streams that lead nowhere.
        package init(
            program: String,
            arguments: [String] = [],
            environment: [String] = [],
            descriptors: [CInt: FileDescriptor] = [:]
        ) {
            self.program = program
            self.arguments = arguments
            self.environment = environment
            self.descriptors = descriptors
        }
    }

    /// How a process ended.
    package enum Ending: Equatable, Sendable {
        /// By itself, with this code.
        case exited(CInt)
        /// By this signal.
        case killed(signal: CInt)
        /// Somebody else has taken note of it.
        case unknown
    }

    /// Its number; names this process until ``ending()`` has been told.
    package let processID: Int32
    /// Becomes readable when the process ends.
    package let descriptor: FileDescriptor

    /// Starts a process; every signal is at its default there.
    ///
    /// Throws with the step that failed, such as `execve`, also where that took place in the child.
    package init(_ plan: Plan) throws(SystemError) {
        var descriptors = plan.descriptors
        if (0...2).contains(where: { descriptors[$0] == nil }) {
            let null = try FileDescriptor.open("/dev/null", O_RDWR)
            for number in CInt(0)...2 where descriptors[number] == nil {
                descriptors[number] = null
            }
        }
        let ordered = descriptors.sorted { $0.key < $1.key }
        let numbers = ordered.map(\.key)
        let sources = ordered.map(\.value.number)
        var step: CInt = 0
        let started = unsafe withCStrings([plan.program] + plan.arguments) { arguments in
            unsafe withCStrings(plan.environment) { environment in
                unsafe plan.program.withCString { path in
                    unsafe sources.withUnsafeBufferPointer { sources in
                        unsafe numbers.withUnsafeBufferPointer { numbers in
                            var child = unsafe glovebox_child(
                                path: path,
                                arguments: arguments,
                                environment: environment,
                                descriptors: sources.baseAddress,
                                numbers: numbers.baseAddress,
                                count: sources.count,
                                new_session: plan.newSession ? 1 : 0,
                                death_signal: plan.diesWithThread ? SIGKILL : 0
                            )
                            return unsafe glovebox_start(&child, &step)
                        }
                    }
                }
            }
        }
        guard started > 0 else { throw .last(Self.call(step), plan.program) }
        processID = started
        // Ours and not yet waited for, so the number is still its own.
        let number = glovebox_pidfd_open(started)
        guard number >= 0 else {
            let error = SystemError.last("pidfd_open", plan.program)
            _ = Glibc.kill(started, SIGKILL)
            _ = waitpid(started, nil, 0)
            throw error
        }
        descriptor = FileDescriptor(adopting: number, path: plan.program)
    }

    private static func call(_ step: CInt) -> String {
        switch UInt32(step) {
        case GLOVEBOX_STEP_DESCRIPTORS.rawValue: "dup2"
        case GLOVEBOX_STEP_SESSION.rawValue: "setsid"
        case GLOVEBOX_STEP_DEATH_SIGNAL.rawValue: "prctl PR_SET_PDEATHSIG"
        case GLOVEBOX_STEP_EXEC.rawValue: "execve"
        default: "fork"
        }
    }

    /// Kills it; no error where it has ended.
    package func kill() { _ = glovebox_pidfd_signal(descriptor.number, SIGKILL) }

    /// How it ended, or nil while it runs.
    ///
    /// To be asked until it answers, and not again.
    package func ending() -> Ending? {
        var status: CInt = 0
        switch unsafe glovebox_pidfd_reap(descriptor.number, &status) {
        case 0: return nil
        case 1: return status >= 0 ? .exited(status) : .killed(signal: -status)
        default: return .unknown
        }
    }

    /// Waits until it has ended, without taking note of that; false where `deadline` came first.
    package func waitUntilEnded(deadline: UInt64?) -> Bool {
        let ready = try? waitForAny(of: [(descriptor.number, .readable)], deadline: deadline)
        return ready?.first?.isEmpty == false
    }
}

extension ChildProcess.Ending: CustomStringConvertible {
    /// A clause such as `ended with code 1`.
    package var description: String {
        switch self {
        case .exited(let code): "ended with code \(code)"
        case .killed(let signal): "was ended by signal \(signal)"
        case .unknown: "ended"
        }
    }
}
