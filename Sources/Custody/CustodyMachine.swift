/// Decides what happens next to a domain that we hold; does nothing itself, and has no clock.
///
/// The driver hands in what has happened and carries out the actions in their order. Where a binding
/// record cannot be written, it leaves the rest of the list undone and hands in
/// ``Event/journalFailed``; where another one cannot, it goes on: no full disk keeps a domain paused.
///
/// What is owed — the end of our backup job, the resume of what we have suspended — stays owed until
/// it is seen to be done, whatever fails meanwhile.
package struct CustodyMachine: Hashable, Sendable {
    enum Phase: Hashable, Sendable {
        /// Nothing has been done.
        case idle
        /// Suspend was asked for, and libvirt has not answered.
        case suspending
        /// libvirt says that it is suspended; our event and its state are to say so too.
        case confirming
        /// The backup job was asked for.
        case exporting
        /// Held, and told so.
        case holding
        /// The front lets go; a last look says whether all was as it should be.
        case releasing
        /// The front was told to stop reading.
        case stopping
        /// The end of our job was asked for.
        case withdrawing
        /// A look is to say whether there is anything to resume.
        case looking
        /// Resume was asked for.
        case resuming
        /// libvirt says that it is resumed; its state is to say so too.
        case watching
        /// Something failed that will be tried again.
        case waiting
        /// There is no connection, and things to be done over one.
        case cutOff
        case ended
    }

    /// What our suspend leaves us to undo.
    enum Pause: Hashable, Sendable { case none, intended, confirmed }

    /// Why the hold ends.
    enum Cause: Hashable, Sendable {
        case released
        case frontGone
        case limit
        case touched(String)
        case lost(String)
        /// It never came to be held.
        case failed(CustodyFailure)
    }

    let mode: HoldMode
    let pauseSecondsMax: UInt32
    var phase = Phase.idle
    var pause = Pause.none
    var owesJob = false
    /// Nil for as long as nothing has to be unwound.
    var cause: Cause?
    /// Nil before the first step.
    var reading: HoldStep?
    var resumption = SessionRecord.Resumption.notNeeded
    /// Whether the journal says that we suspend, and not yet that we have resumed.
    var isPauseOnRecord = false
    var isResumeOnRecord = false
    var isWithdrawalOnRecord = false
    var hasAskedResume = false
    var hasFailedAbort = false
    var isHeld = false
    var isIntact = false
    var hasStoppedReaders = false
    var isConnected = true
    var isFrontThere = true
    /// Whether the front has its last answer although things are still to be done.
    var isFrontAnswered = false
    /// Whether QEMU has stopped it because of a disk while our job ran, which may have been why: once
    /// there is no room for the old content, the guest's writes fail.
    var isStoppedByDisk = false
    /// What keeps the domain from being resumed; the rest of a sentence.
    var obstacle = "does not run yet"

    package init(mode: HoldMode, pauseSecondsMax: UInt32) {
        self.mode = mode
        self.pauseSecondsMax = pauseSecondsMax
    }

    /// Whether everything is done.
    package var hasEnded: Bool { phase == .ended }
    /// Whether it is held, and the front was told so, and nothing speaks against it.
    package var isHolding: Bool { phase == .holding }
    /// Whether the front was told to stop and has not answered.
    package var awaitsFront: Bool { phase == .stopping }
    /// Whether it is undone although our suspend was neither seen nor ruled out.
    package var isSuspendUnanswered: Bool { phase == .looking && pause == .intended }
    /// Whether a state is waited for that was asked for.
    package var awaitsState: Bool { phase == .confirming || phase == .watching }
    /// Whether the hold is being undone.
    package var isUnwinding: Bool { cause != nil && !hasEnded }

    /// Each legal move is one line; what has no line changes nothing.
    package mutating func handle(_ event: Event) -> [Action] {
        switch (phase, event) {
        case (.ended, _): []
        case (.idle, .begin(let seenRunning)): begin(seenRunning)
        case (.suspending, .suspendReturned(.done)): suspendReturned()
        case (.suspending, .suspendReturned(.failed(let why))): fail(6, why)
        case (.suspending, .suspendReturned(.notAsked(let why))): failUntouched(why)
        case (.suspending, .journalFailed): failUnrecorded()
        case (.confirming, .suspendSeen): suspendSeen()
        case (.confirming, .suspendUnconfirmed): fail(6, Self.unconfirmed)
        case (.exporting, .exportReturned(nil)): exported()
        case (.exporting, .exportReturned(let failure?)): unwind(.failed(failure))
        case (.exporting, .journalFailed): failWithoutJob()
        case (.holding, .step(let step, let readers)): take(step, readers)
        case (.holding, .release): release()
        case (.holding, .limit) where mode == .strict: invalidate(.limit)
        case (.holding, .failing(let why)): invalidate(.lost(why))
        case (.releasing, .failing(let why)): unwind(.lost(why))
        case (.holding, .journalFailed): journalFailedInHold()
        case (.stopping, .stopped), (.stopping, .release): unwind()
        case (.stopping, .stopTimeout): [.killFront] + unwind()
        case (.withdrawing, .abortReturned(.ended)): withdrawn(isOurs: true)
        case (.withdrawing, .abortReturned(.notOurs)): withdrawn(isOurs: false)
        case (.withdrawing, .abortReturned(.failed)): abortFailed()
        case (.resuming, .resumeReturned(isDone: true)): move(to: .watching, [.confirmRunning])
        case (.resuming, .resumeReturned(isDone: false)): resumeFailed()
        case (.resuming, .journalFailed): failBeforeResume()
        case (.waiting, .retry): goOn()
        case (.confirming, .limit): fail(6, limitSentence)
        case (.suspending, .limit), (.exporting, .limit): remember(.failed(limitFailure))
        case (_, .seen(let sighting)): see(sighting)
        case (_, .domain(let event)): notice(event)
        case (_, .frontGone): frontWent()
        case (_, .connectionLost): connectionLost()
        case (_, .connectionRestored): connectionRestored()
        case (_, .overdue): overdue()
        default: []
        }
    }

    mutating func move(to next: Phase, _ actions: [Action]) -> [Action] {
        phase = next
        return actions
    }

    /// Takes note of a cause while something is under way whose answer comes first.
    mutating func remember(_ cause: Cause) -> [Action] {
        self.cause = self.cause ?? cause
        return []
    }
}

// The way in.
extension CustodyMachine {
    private static let unconfirmed =
        "libvirt reported no suspend within five seconds, although it was asked for one"

    private mutating func begin(_ seenRunning: UInt64) -> [Action] {
        guard mode != .asFound else { return hold([]) }
        (pause, isPauseOnRecord) = (.intended, true)
        let record = SessionRecord.suspending(seenRunning: seenRunning)
        return move(to: .suspending, [.journal(record, isBinding: true), .suspend])
    }

    private mutating func suspendReturned() -> [Action] {
        cause == nil ? move(to: .confirming, [.confirmSuspend]) : unwind()
    }

    private mutating func suspendSeen() -> [Action] {
        pause = .confirmed
        let suspended = Action.journal(.suspended, isBinding: true)
        guard mode == .brief else { return hold([suspended]) }
        owesJob = true
        return move(
            to: .exporting,
            [suspended, .journal(.exporting, isBinding: true), .beginBackup]
        )
    }

    private mutating func exported() -> [Action] {
        guard cause == nil else { return unwind() }
        return [.journal(.exported, isBinding: true)] + resume()
    }

    private mutating func hold(_ actions: [Action]) -> [Action] {
        isHeld = true
        return move(to: .holding, actions + [.tell(.held)])
    }

    /// The domain runs, or needs us no more, with a point in time to be read or at the end.
    mutating func resumed(_ resumption: SessionRecord.Resumption) -> [Action] {
        self.resumption = resumption
        pause = .none
        guard cause == nil else { return goOn() }
        isPauseOnRecord = false
        return hold([.journal(.resumed(resumption), isBinding: true)])
    }
}

// While it is held.
extension CustodyMachine {
    private mutating func take(_ step: HoldStep, _ readers: [ProcessIdentity]) -> [Action] {
        let record: SessionRecord
        switch (reading, step) {
        case (nil, .connected), (.disconnected, .connected): record = .connected(readers: readers)
        case (.connected, .mounted), (.unmounted, .mounted): record = .mounted
        case (.mounted, .unmounted): record = .unmounted
        case (.connected, .disconnected), (.unmounted, .disconnected): record = .disconnected
        default:
            let sentence = "The step \(step) does not follow from the one before it."
            return [.tell(.failed(CustodyFailure(code: 2, sentence)))]
        }
        reading = step
        return [.journal(record, isBinding: true), .tell(.noted)]
    }

    private mutating func release() -> [Action] {
        guard mode == .brief else { return move(to: .releasing, [.look]) }
        isIntact = true
        return unwind(.released)
    }

    mutating func invalidate(_ cause: Cause) -> [Action] {
        self.cause = cause
        return move(to: .stopping, holdEnding.map { [.tell(.invalidated($0))] } ?? [])
    }

    /// The record that could not be written may be the one before the front was told anything.
    private mutating func journalFailedInHold() -> [Action] {
        let why = "The journal of the session could not be written."
        guard reading != nil else {
            // In brief mode it was that of the resume.
            (isHeld, isPauseOnRecord) = (false, mode != .asFound)
            return unwind(.failed(CustodyFailure(code: 6, why)))
        }
        return invalidate(.lost(why))
    }
}
