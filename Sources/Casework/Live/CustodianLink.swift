internal import Custody
internal import DiskFormats
internal import EngineProtocol
internal import Linux
internal import Synchronization

/// The conversation with one custodian, heard by a thread of its own.
///
/// Whatever ends the conversation ends the hold first: the gate is closed, and reads that are under
/// way are waited for, before anybody is told. The custodian is not trusted to make sense; one that
/// does not is left, and unwinds because of that.
final class CustodianLink: Sendable {
    /// Decides whether the disks are held.
    let gate = HoldGate()
    private let channel: Channel
    private let child: ChildProcess?
    private let state = Monitor(State())
    /// Requests take turns; so do the threads that send.
    private let turn = Mutex(())
    private let sending = Mutex(())

    /// What a custodian that has gone may have left, and who takes it over.
    typealias Recovery = @Sendable (_ session: String?) -> HoldRemains

    private struct State: Sendable {
        var isAwaiting = false
        var answer: CustodyReport?
        /// The longest pause that was asked for with the hold.
        var pauseSecondsMax: UInt32?
        /// Set from when a hold is asked for until nothing is held.
        var recovery: Recovery?
        /// The session, once the domain is held.
        var session: String?
        var isInvalidated = false
        var release: Release?
        /// Why it could not let go so far; it goes on trying.
        var stuck: CustodyFailure?
        var remains: HoldRemains?
        /// Whether the end was asked for.
        var isEnding = false
        /// Whether nothing more will be heard; what follows from that may still be under way.
        var isDeaf = false
        /// Why it ended, where nobody asked for that.
        var fault: String?
        var isOver = false
    }

    /// How the wait for an answer ended.
    enum Reply: Sendable {
        case answer(CustodyReport)
        /// The custodian has gone, or made no sense.
        case gone(String)
        /// The hold ended before the request was answered.
        case invalidated
        case timedOut
    }

    /// The rest of a message comes at once when it has begun.
    private static let messageSeconds = 2.0
    /// A custodian that was left unwinds meanwhile, before its session is looked at.
    private static let unwindSeconds = 20.0

    init(_ process: CustodianProcess) {
        channel = process.channel
        child = process.child
        _ = WorkerThread { [self] in
            let fault = listen()
            // After a release, its end is nothing but that.
            if state.update({ $0.release == nil && !$0.isEnding }) {
                gate.close(.lost("The custodian, which held the instance, has ended."))
            }
            gate.shut()
            gate.waitUntilIdle()
            finish(fault)
        }
    }

    /// Ends the conversation; what is held is let go of by the custodian, which need not be waited for.
    func end() {
        state.update { $0.isEnding = true }
        gate.shut()
        channel.end()
    }

    /// Sends a request and waits for its answer.
    func ask(_ request: CustodyRequest, seconds: Double) -> Reply {
        turn.withLock { _ in
            state.update { state in
                state.answer = nil
                state.isAwaiting = true
            }
            defer { state.update { $0.isAwaiting = false } }
            send(request)
            let isStep = if case .step = request { true } else { false }
            let reply = state.wait(until: deadline(inSeconds: seconds)) { state -> Reply? in
                if let answer = state.answer { return .answer(answer) }
                if state.isDeaf { return .gone(state.fault ?? "it has ended") }
                return isStep && state.isInvalidated ? .invalidated : nil
            }
            return reply ?? .timedOut
        }
    }

    /// Asks for a hold; from now on whatever ends the custodian is followed by `recovery`.
    func askForHold(_ order: HoldOrder, seconds: Double, recovery: @escaping Recovery) -> Reply {
        let fault = state.update { state -> String? in
            // One that has gone before is asked for nothing, and leaves nothing.
            if state.isDeaf { return state.fault ?? "it has ended" }
            state.recovery = recovery
            state.pauseSecondsMax = order.pauseSecondsMax
            return nil
        }
        if let fault { return .gone(fault) }
        let reply = ask(.hold(order), seconds: seconds)
        // Refused, and nothing is held because of it; but where it says otherwise.
        if case .answer(.failed(let failure)) = reply, failure.code != CustodyFailure.stillHeld {
            state.update { $0.recovery = nil }
        }
        return reply
    }

    /// Has the hold let go of, and waits for that; nil where it takes longer than `seconds`.
    ///
    /// Where the custodian has gone, what it left is waited for `recoverSeconds` more.
    func release(seconds: Double, recoverSeconds: Double) -> HoldRemains? {
        let end = deadline(inSeconds: seconds)
        // After an invalidation the custodian lets go by itself.
        if !state.update({ $0.isInvalidated }) { _ = ask(.release, seconds: seconds) }
        let released = state.wait(until: end) { state -> HoldRemains?? in
            if let release = state.release { return .some(.released(release)) }
            if let stuck = state.stuck { return .some(.held(HoldText.sentence(stuck.message))) }
            return state.isDeaf ? .some(nil) : nil
        }
        guard let released else { return nil }
        return released ?? remains(seconds: recoverSeconds + Self.unwindSeconds)
    }

    /// Whether a hold was asked for and may be owed still.
    var mayHold: Bool { state.update { $0.recovery != nil } }

    /// What a custodian that has gone left, once that has been seen to; nil where it takes longer.
    func remains(seconds: Double) -> HoldRemains? {
        state.wait(until: deadline(inSeconds: seconds)) { $0.isOver ? $0.remains ?? .unknown : nil }
    }

    private func send(_ request: CustodyRequest) {
        // Where that fails the custodian has ended, which the thread sees.
        sending.withLock { _ in try? channel.send(request.bytes) }
    }

    // MARK: The thread

    /// Takes reports until the end; says why it came.
    private func listen() -> String {
        while true {
            let ready = try? waitForAny(
                of: [(channel.descriptor.number, .readable)],
                deadline: nil
            )
            guard ready != nil else { return "it cannot be listened to" }
            let message: [UInt8]?
            do throws(SystemError) {
                message = try channel.receive(deadline: deadline(inSeconds: Self.messageSeconds))
            } catch {
                switch error.name {
                case "ECONNRESET": return "it has ended"
                case "EMSGSIZE": return "its message is too long"
                default: return "its message broke off (\(error.name))"
                }
            }
            guard let message else { return "it has ended" }
            let report: CustodyReport
            do throws(DiskError) { report = try CustodyReport(message) } catch {
                return "its message makes no sense"
            }
            guard take(report) else { return "it answered what was not asked" }
        }
    }

    /// Takes a report; false where it has no place here.
    private func take(_ report: CustodyReport) -> Bool {
        switch report {
        case .invalidated(let ending):
            let isExpected = state.update { state in
                state.isInvalidated = true
                return state.recovery != nil && state.release == nil
            }
            guard isExpected else { return false }
            gate.close(ending)
            gate.waitUntilIdle()
            send(.stopped)
            return true
        case .released(let release):
            return state.update { state in
                guard state.session != nil, state.release == nil else { return false }
                state.release = release
                state.recovery = nil
                if state.isAwaiting { state.answer = state.answer ?? report }
                return true
            }
        case .held(let held):
            // Whoever has the answer may read at once.
            return state.update { state in
                guard let pauseSecondsMax = state.pauseSecondsMax, state.isAwaiting,
                    state.answer == nil
                else { return false }
                state.session = held.session
                gate.open(until: held.deadline, pauseSecondsMax: pauseSecondsMax)
                state.answer = report
                return true
            }
        case .noted where state.update({ $0.isInvalidated }):
            // The answer to a step that nobody waits for any more.
            _ = answer(report)
            return true
        case .failed(let failure) where failure.code == CustodyFailure.stillHeld:
            // The last word on a release, whether that was asked for or follows an invalidation.
            state.update { $0.stuck = failure }
            _ = answer(report)
            return true
        default: return answer(report)
        }
    }

    private func answer(_ report: CustodyReport) -> Bool {
        state.update { state in
            guard state.isAwaiting, state.answer == nil else { return false }
            state.answer = report
            return true
        }
    }

    /// Sees to what the custodian has left, where nobody wanted it to end.
    private func finish(_ fault: String) {
        channel.end()
        let (wasWanted, recovery, session) = state.update { state in
            state.fault = state.isEnding ? nil : fault
            state.isDeaf = true
            return (state.isEnding, state.recovery, state.session)
        }
        if !wasWanted, let recovery {
            _ = child?.waitUntilEnded(deadline: deadline(inSeconds: Self.unwindSeconds))
            let remains = recovery(session)
            state.update { $0.remains = remains }
        }
        state.update { $0.isOver = true }
        guard let child else { return }
        // Where it still sees to a resume, that takes as long as it takes.
        _ = child.waitUntilEnded(deadline: nil)
        _ = child.ending()
    }
}

/// What has become of what was held.
enum HoldRemains: Sendable, Equatable {
    /// It was let go of.
    case released(Release)
    /// The custodian had gone; what it left was taken over.
    case recovered(RecoveredSession)
    /// It may still be held, for the reason that the sentence gives.
    case held(String)
    /// Nobody has said anything.
    case unknown
}

extension CustodyFailure {
    /// The code of what is still held.
    static let stillHeld: UInt8 = 7
}
