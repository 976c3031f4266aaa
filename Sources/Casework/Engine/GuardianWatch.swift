internal import DiskFormats
internal import EngineProtocol
internal import Linux

/// Watches over the guardian from outside, on a thread of its own, until nothing of it is left.
final class GuardianWatch: Sendable {
    let guardian: ChildProcess
    private let channel: Channel
    private let directory: String
    private let state = Monitor(State())

    private struct State: Sendable {
        var ready: (exports: [EngineSession.Export], warnings: [String])?
        var workerStarted = false
        /// How the worker ended.
        var workerEnding: String?
        /// The guardian's last words.
        var lastWords: String?
        /// Whether the end was asked for.
        var isEnding = false
        /// Whether nothing is left.
        var isOver = false
    }

    /// How long the guardian may take to clean up before that is done for it.
    private static let endSeconds = 6.0

    init(_ guardian: ChildProcess, _ channel: Channel, _ directory: String) {
        self.guardian = guardian
        self.channel = channel
        self.directory = directory
    }

    /// Sends the first request and starts to watch.
    func begin(_ request: GuardianRequest) {
        // Where that fails the guardian has ended, which the thread sees.
        try? channel.send(request.bytes)
        _ = WorkerThread { [self] in
            listen()
            cleanUp()
            state.update { $0.isOver = true }
        }
    }

    /// Asks for the end, and waits until nothing is left.
    func end() {
        state.update { $0.isEnding = true }
        channel.end()
        state.wait { $0.isOver ? () : nil }
    }

    func waitUntilReady(
        deadline: UInt64
    ) throws(GloveboxError) -> ([EngineSession.Export], [String]) {
        let ready = wait(deadline) { state in
            state.ready.map { .some($0) } ?? (state.isOver ? .some(nil) : nil)
        }
        switch ready {
        case .some(.some(let ready)): return (ready.exports, ready.warnings)
        case .some(nil): throw failure(deadline: 0) ?? Self.silent
        case nil: throw Self.silent
        }
    }

    func startWorker(deadline: UInt64) throws(GloveboxError) {
        try? channel.send(GuardianRequest.startWorker.bytes)
        let started = wait(deadline) { $0.workerStarted ? true : $0.isOver ? false : nil }
        guard started == true else { throw failure(deadline: 0) ?? Self.silent }
    }

    func failure(deadline: UInt64) -> GloveboxError? {
        let broken = wait(deadline) { $0.isOver || $0.workerEnding != nil ? true : nil }
        guard broken == true else { return nil }
        return state.update { state in
            if state.isEnding { return nil }
            let reason = state.isOver ? state.lastWords : state.workerEnding
            return GloveboxError(
                .unreadable,
                reason ?? "The engine has ended.",
                advice: "What it had started was ended with it, and removed."
            )
        }
    }

    private static let silent = GloveboxError(
        .unreadable,
        "The engine gave no answer in time.",
        advice: "Try again when the machine is less busy."
    )

    /// Waits for a value, or until `deadline`.
    private func wait<Value>(_ deadline: UInt64, _ body: (inout State) -> Value?) -> Value? {
        while true {
            if let value = state.update(body) { return value }
            if monotonicNanoseconds() >= deadline { return nil }
            pauseThread(seconds: 0.005)
        }
    }

    // MARK: The thread

    /// Takes the guardian's reports until it ends.
    private func listen() {
        while true {
            let ready = try? waitForAny(
                of: [
                    (channel.descriptor.number, .readable),
                    (guardian.descriptor.number, .readable),
                ],
                deadline: nil
            )
            guard let ready else { return }
            if !ready[0].isEmpty {
                guard let bytes = try? channel.receive(deadline: deadline(inSeconds: 2)),
                    let report = try? GuardianReport(bytes)
                else { return }
                take(report)
            } else if !ready[1].isEmpty {
                return
            }
        }
    }

    private func take(_ report: GuardianReport) {
        state.update { state in
            switch report {
            case .ready(let exports, let warnings): state.ready = (exports, warnings)
            case .workerStarted: state.workerStarted = true
            case .workerEnded(let how): state.workerEnding = GuestText.plain(how)
            case .failed(let reason): state.lastWords = GuestText.plain(reason)
            }
        }
    }

    /// Sees to it that nothing is left, whether or not the guardian has done so.
    private func cleanUp() {
        channel.end()
        if !guardian.waitUntilEnded(deadline: deadline(inSeconds: Self.endSeconds)) {
            guardian.kill()
            _ = guardian.waitUntilEnded(deadline: nil)
        }
        // Not yet taken note of, so its number is still that of its session.
        _ = try? ProcessTable.endSession(
            of: guardian.processID,
            deadline: deadline(inSeconds: Self.endSeconds)
        )
        let ending = guardian.ending() ?? .unknown
        var left: SystemError?
        do throws(SystemError) { try EngineRemains.remove(directory) } catch {
            left = error
        }
        state.update { state in
            if state.lastWords == nil { state.lastWords = "The engine's guardian \(ending)." }
            if let left, let words = state.lastWords {
                state.lastWords = "\(words) Its directory could not be removed: \(left)."
            }
        }
    }
}

/// Texts from processes that read disks.
private enum GuestText {
    static func plain(_ text: String) -> String {
        String(
            text.unicodeScalars.prefix(2_000).map { scalar -> Character in
                scalar.value < 0x20 || scalar.value == 0x7F || (0x80..<0xA0).contains(scalar.value)
                    ? "?" : Character(scalar)
            }
        )
    }
}
