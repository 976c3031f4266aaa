internal import CGuestfs
internal import Glibc
internal import Linux
internal import Synchronization

/// Watches over a launch: tells how far it is, and ends an appliance that no longer says anything.
///
/// A KVM that hangs never returns from ``GuestfsHandle`` by itself; only the end of QEMU does that.
final class LaunchWatch: Sendable {
    private struct State {
        /// When the appliance's console last said something; nil before QEMU was started.
        var lastSign: UInt64?
        var console: [UInt8] = []
        var isDone = false
        var verdict: String?
    }

    /// How long the console may be silent, and how long a launch may take in all, in seconds.
    struct Limits {
        var silence: UInt64
        var whole: UInt64
    }

    private let state = Mutex(State())
    private let report: @Sendable (String) -> Void

    init(report: @escaping @Sendable (String) -> Void) { self.report = report }

    /// What the console said last, for an error's text.
    var consoleTail: String {
        let bytes = state.withLock { $0.console.suffix(2_000) }
        let lines = bytes.split(separator: UInt8(ascii: "\n")).suffix(3)
        return lines.map { String(decoding: $0.filter { $0 >= 0x20 }, as: UTF8.self) }
            .joined(separator: " / ")
    }

    /// Why the watch ended the launch; nil where it did not.
    var verdict: String? { state.withLock { $0.verdict } }

    fileprivate func hear(_ bytes: [UInt8]) {
        let isStart = state.withLock { state in
            state.console.append(contentsOf: bytes)
            if state.console.count > 65_536 { state.console.removeFirst(32_768) }
            // Before QEMU, libguestfs builds the appliance, and nothing is heard for as long as
            // that takes.
            let isStart =
                state.lastSign == nil
                && String(decoding: bytes, as: UTF8.self).contains(ApplianceRole.firstLine)
            if isStart || state.lastSign != nil { state.lastSign = monotonicNanoseconds() }
            return isStart
        }
        if isStart { report("the appliance boots") }
    }

    /// Runs `launch` on this thread with the watch beside it.
    func during<Result>(_ limits: Limits, _ launch: () throws(GuestfsError) -> Result)
        throws(GuestfsError) -> Result
    {
        let start = monotonicNanoseconds()
        let thread = WorkerThread { [self] in
            while !state.withLock({ $0.isDone }) {
                usleep(200_000)
                if let verdict = overdue(limits, since: start) { end(verdict) }
            }
        }
        defer {
            state.withLock { $0.isDone = true }
            thread.join()
        }
        return try launch()
    }

    private func overdue(_ limits: Limits, since start: UInt64) -> String? {
        let second: UInt64 = 1_000_000_000
        let now = monotonicNanoseconds()
        return state.withLock { state in
            guard !state.isDone, state.verdict == nil else { return nil }
            if now - start > limits.whole * second { return "not ready after \(limits.whole) s" }
            if let sign = state.lastSign, now > sign, now - sign > limits.silence * second {
                return "no sign of life for \(limits.silence) s"
            }
            return nil
        }
    }

    private func end(_ verdict: String) {
        state.withLock { $0.verdict = verdict }
        HypervisorProcess.killChildren()
    }
}

extension GuestfsHandle {
    /// Lets `watch` hear the console; it must outlive the handle.
    func connect(_ watch: LaunchWatch) throws(GuestfsError) {
        let context = unsafe Unmanaged.passUnretained(watch).toOpaque()
        let code = unsafe guestfs_set_event_callback(
            pointer,
            { _, context, _, _, _, text, count, _, _ in
                guard let context = unsafe context, let text = unsafe text else { return }
                let watch = unsafe Unmanaged<LaunchWatch>.fromOpaque(context).takeUnretainedValue()
                unsafe watch.hear(Array(UnsafeRawBufferPointer(start: text, count: count)))
            },
            UInt64(GUESTFS_EVENT_APPLIANCE),
            0,
            context
        )
        try check(code)
    }
}
