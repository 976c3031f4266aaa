internal import Glibc
internal import Linux

/// Ends a hypervisor that has not answered in time; libguestfs itself would wait for ever.
final class HypervisorWatch: Sendable {
    private struct State {
        var process: pid_t = 0
        var deadline: UInt64?
        var hasEnded = false
        var isOver = false
    }

    private let state = Monitor(State())
    private static let intervalMicroseconds: UInt32 = 200_000

    /// Begins to watch; nothing is limited yet.
    func start(process: pid_t) {
        state.update { $0.process = process }
        let state = state
        _ = WorkerThread {
            while !state.update(Self.tick) { usleep(Self.intervalMicroseconds) }
        }
    }

    /// Sets or lifts the limit for what runs now.
    func limit(seconds: Int?) {
        state.update { state in
            state.deadline = seconds.map {
                monotonicNanoseconds() + UInt64(clamping: $0) * 1_000_000_000
            }
        }
    }

    /// Whether it has ended the hypervisor.
    var hasEnded: Bool { state.update { $0.hasEnded } }

    /// Ends the watching.
    func stop() { state.update { $0.isOver = true } }

    /// One look at the clock; true where the watching is over.
    @Sendable private static func tick(_ state: inout State) -> Bool {
        if !state.isOver, let deadline = state.deadline, monotonicNanoseconds() > deadline {
            if state.process > 0 { kill(state.process, SIGKILL) }
            state.hasEnded = true
            state.isOver = true
        }
        return state.isOver
    }
}
