@testable import Custody

/// What a machine has had done so far, and every rule that it may not break on the way.
///
/// It knows the truth: whether the domain is paused, and by whom.
struct CustodyWorld: Hashable {
    var machine: CustodyMachine
    /// The machine's last actions, which are carried out when the next event is known: a record that
    /// cannot be written keeps the rest from being done.
    var pending: [CustodyMachine.Action] = []
    var order: SessionOrder
    /// Whether the domain is paused by us.
    var isPaused = false
    /// Whether somebody else has resumed what we had suspended.
    var isTakenOver = false
    var isGone = false
    var isJobAnnounced = false
    var isResumeAnnounced = false
    /// Whether the front may be reading.
    var mayRead = false
    var isHeld = false
    var isTouched = false
    var hasEnded = false
    /// What the machine has asked for and was not answered.
    var asked: Set<Question> = []

    enum Question: Hashable { case suspend, confirm, backup, sight, resume, abort, connect, retry }

    init(_ mode: HoldMode) {
        machine = CustodyMachine(mode: mode, pauseSecondsMax: 60)
        order = SessionOrder(mode)
    }

    /// Where in the pending actions a record stands that has to be written.
    var bindingIndices: [Int] {
        pending.indices.filter {
            if case .journal(_, isBinding: true) = pending[$0] { true } else { false }
        }
    }

    /// Nothing is decided because of a sentence: worlds that differ in one are the same.
    mutating func forgetSentences() {
        machine.obstacle = ""
        switch machine.cause {
        case .touched: machine.cause = .touched("")
        case .lost: machine.cause = .lost("")
        case .failed: machine.cause = .failed(CustodyFailure(code: 6, ""))
        case .released, .frontGone, .limit, nil: break
        }
    }

    /// Hands an event in; returns the rules that were broken.
    mutating func take(_ event: CustodyMachine.Event, failingAt index: Int? = nil) -> [String] {
        var broken: [String] = []
        for action in pending[..<(index ?? pending.endIndex)] {
            if let rule = carryOut(action) { broken.append("\(rule): \(action)") }
        }
        if let answered = Self.question(event) { asked.remove(answered) }
        note(event)
        pending = machine.handle(event)
        if hasEnded, !pending.isEmpty { broken.append("something happens after the end") }
        return broken
    }

    /// Does what is still to be done.
    mutating func finish() -> [String] {
        let broken = pending.compactMap { action in carryOut(action).map { "\($0): \(action)" } }
        pending = []
        return broken
    }

    /// What an event answers.
    static func question(_ event: CustodyMachine.Event) -> Question? {
        switch event {
        case .suspendReturned: .suspend
        case .suspendSeen, .suspendUnconfirmed: .confirm
        case .exportReturned: .backup
        case .seen: .sight
        case .resumeReturned: .resume
        case .abortReturned: .abort
        case .connectionRestored: .connect
        case .retry: .retry
        default: nil
        }
    }

    private static func question(_ action: CustodyMachine.Action) -> Question? {
        switch action {
        case .suspend: .suspend
        case .confirmSuspend: .confirm
        case .beginBackup: .backup
        case .look, .confirmRunning: .sight
        case .resume: .resume
        case .abortJob: .abort
        case .reconnect: .connect
        case .retryLater: .retry
        default: nil
        }
    }

    /// What an event says of the world.
    private mutating func note(_ event: CustodyMachine.Event) {
        let isRead = isHeld && [.holding, .releasing].contains(machine.phase)
        switch event {
        case .suspendReturned(.notAsked) where machine.phase == .suspending: isPaused = false
        case .release, .stopped, .frontGone:
            if machine.phase == .stopping || event != .stopped { mayRead = false }
        case .domain(.resumed):
            if isPaused, machine.phase != .suspending { (isPaused, isTakenOver) = (false, true) }
            if isRead, machine.mode != .brief { isTouched = true }
        case .domain(.rebooted), .domain(.sleeping):
            if isRead, machine.mode != .brief { isTouched = true }
        case .domain(.suspended), .domain(.connectionClosed): break
        case .domain: if isRead { isTouched = true }
        case .connectionLost, .failing: if isRead { isTouched = true }
        case .seen(let sighting): note(sighting, isRead)
        case .abortReturned(.notOurs) where machine.phase == .withdrawing: isTouched = true
        default: break
        }
    }

    private mutating func note(_ sighting: DomainSighting, _ isRead: Bool) {
        let looks: Set<CustodyMachine.Phase> = [.holding, .releasing, .looking, .watching]
        switch sighting {
        case .running where looks.contains(machine.phase): isPaused = false
        case .gone where looks.contains(machine.phase): (isPaused, isGone) = (false, true)
        default: break
        }
        let isAsHeld =
            switch sighting {
            case .paused: true
            case .running: machine.mode == .brief && machine.phase == .holding
            case .otherwise, .gone: false
            }
        if isRead, !isAsHeld { isTouched = true }
    }

    /// Does one thing; the rule that it breaks.
    private mutating func carryOut(_ action: CustodyMachine.Action) -> String? {
        if hasEnded { return "something happens after the end" }
        if let question = Self.question(action) { asked.insert(question) }
        switch action {
        case .journal(let record, _):
            if record == .withdrawing { isJobAnnounced = true }
            if record == .resuming { isResumeAnnounced = true }
            return order.take(record) ? nil : "readers refuse this order"
        case .suspend:
            defer { isPaused = true }
            if machine.mode == .asFound { return "what somebody else paused is left alone" }
            return order.pause == .intended && !isPaused ? nil : "suspend without intent on record"
        case .beginBackup: return order.job == .intended ? nil : "job without intent on record"
        case .resume:
            defer { isPaused = false }
            if isTakenOver { return "a pause of somebody else is resumed" }
            if mayRead, machine.mode != .brief { return "resumed under a reader" }
            return order.owesResume && isResumeAnnounced ? nil : "resume without intent on record"
        case .abortJob:
            if mayRead { return "the job is ended under a reader" }
            return order.owesJob && isJobAnnounced ? nil : "a job is ended that is not ours"
        case .tell(let word): return tell(word)
        case .killFront: mayRead = false
        case .end:
            hasEnded = true
            if isPaused { return "ended with the domain paused by us" }
            if machine.isStoppedByDisk { return nil }
            return order.hasEnded ? nil : "ended without a record"
        case .confirmSuspend, .look, .confirmRunning, .removeExports, .killReaders, .reconnect,
            .retryLater:
            break
        }
        return nil
    }

    private mutating func tell(_ word: CustodyMachine.Word) -> String? {
        switch word {
        case .held:
            (isHeld, mayRead) = (true, true)
            switch machine.mode {
            case .strict: return order.pause == .confirmed ? nil : "held before it was on record"
            case .brief:
                let isReady = order.job == .running && order.pause == .over
                return isReady ? nil : "held before it was on record"
            case .asFound: return nil
            }
        case .released(_, _, let isIntact):
            if isIntact, isTouched { return "intact although it was touched" }
            return isHeld ? nil : "released without having been held"
        case .failed(let failure):
            if isHeld, failure.code != 7, failure.code != 2 { return "failed after it was held" }
            return nil
        case .noted, .invalidated: return isHeld ? nil : "told before it was held"
        }
    }
}
