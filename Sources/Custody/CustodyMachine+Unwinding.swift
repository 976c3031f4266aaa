// The way out.
extension CustodyMachine {
    static let again = "Run the command again."

    var owesAnything: Bool { owesJob || pause != .none }
    var limitSentence: String {
        "The longest pause of \(pauseSecondsMax) seconds was over before it could be read."
    }
    var limitFailure: CustodyFailure {
        CustodyFailure(code: 6, limitSentence, advice: "Allow a longer pause.")
    }

    /// It does not come to be held.
    mutating func fail(_ code: UInt8, _ sentence: String) -> [Action] {
        unwind(.failed(CustodyFailure(code: code, sentence, advice: Self.again)))
    }

    /// It does not come to be held, and was not touched.
    mutating func failUntouched(_ sentence: String) -> [Action] {
        pause = .none
        return fail(6, sentence)
    }

    /// The suspend was not asked for, since it could not be written down.
    mutating func failUnrecorded() -> [Action] {
        (pause, isPauseOnRecord) = (.none, false)
        return fail(6, "The journal of the session could not be written; nothing was suspended.")
    }

    /// The job was not asked for, since it could not be written down.
    mutating func failWithoutJob() -> [Action] {
        owesJob = false
        return fail(6, "The journal of the session could not be written.")
    }

    /// The resume after the export was not asked for yet, since the export could not be written down.
    mutating func failBeforeResume() -> [Action] {
        guard cause == nil else { return [] }
        (hasAskedResume, isResumeOnRecord) = (false, false)
        return fail(6, "The journal of the session could not be written.")
    }

    mutating func frontWent() -> [Action] {
        guard isFrontThere else { return [] }
        isFrontThere = false
        switch phase {
        case .idle, .confirming, .holding, .releasing, .stopping: return unwind(.frontGone)
        case .suspending, .exporting, .resuming, .watching: return remember(.frontGone)
        case .withdrawing, .looking, .waiting, .cutOff, .ended: return []
        }
    }

    /// The front waits no longer; we go on.
    mutating func overdue() -> [Action] {
        guard isUnwinding, isFrontThere, !isFrontAnswered, owesAnything, phase != .stopping else {
            return []
        }
        isFrontAnswered = true
        let what = pause == .none ? "its backup job could not be ended" : obstacle
        let failure = CustodyFailure(
            code: 7,
            "It is still held: it \(isConnected ? what : "cannot be reached through libvirt").",
            advice: "Another attempt is made all the time; see glovebox recover."
        )
        return [.tell(.failed(failure))]
    }

    /// Ends what reads, then takes back what is owed.
    mutating func unwind(_ cause: Cause? = nil) -> [Action] {
        self.cause = self.cause ?? cause
        var actions: [Action] = []
        if isHeld, self.cause != .released, !hasStoppedReaders {
            hasStoppedReaders = true
            actions.append(.killReaders)
        }
        if isHeld, let ending = holdEnding {
            actions.append(.journal(.invalidated(reason: ending.sentence), isBinding: false))
        }
        return actions + goOn()
    }

    /// The next of what is owed.
    mutating func goOn() -> [Action] {
        if !isConnected, owesAnything { return move(to: .cutOff, []) }
        if owesJob, !hasFailedAbort { return withdraw() }
        if pause != .none { return move(to: .looking, [.look]) }
        var actions: [Action] = []
        if isPauseOnRecord {
            isPauseOnRecord = false
            actions.append(.journal(.resumed(resumption), isBinding: false))
        }
        guard !owesJob else {
            hasFailedAbort = false
            return actions + move(to: .waiting, [.retryLater])
        }
        return actions + finish()
    }

    private mutating func withdraw() -> [Action] {
        defer { isWithdrawalOnRecord = true }
        let record = Action.journal(.withdrawing, isBinding: false)
        return move(to: .withdrawing, (isWithdrawalOnRecord ? [] : [record]) + [.abortJob])
    }

    mutating func withdrawn(isOurs: Bool) -> [Action] {
        owesJob = false
        if !isOurs, cause == .released {
            isIntact = false
            cause = .lost("The backup job that held the point in time was ended by somebody else.")
        }
        return [.removeExports, .journal(.withdrawn, isBinding: false)] + goOn()
    }

    mutating func abortFailed() -> [Action] {
        hasFailedAbort = true
        return goOn()
    }

    /// The last look has shown nothing wrong.
    mutating func releaseIntact() -> [Action] {
        (isIntact, cause) = (true, .released)
        return pause == .none ? goOn() : resume()
    }

    mutating func resume() -> [Action] {
        hasAskedResume = true
        defer { isResumeOnRecord = true }
        let record = Action.journal(.resuming, isBinding: false)
        return move(to: .resuming, (isResumeOnRecord ? [] : [record]) + [.resume])
    }

    mutating func resumeFailed(_ words: String = "could not be resumed") -> [Action] {
        _ = remember(.failed(CustodyFailure(code: 6, "It \(words).", advice: Self.again)))
        return waitFor(words)
    }

    mutating func waitFor(_ words: String) -> [Action] {
        obstacle = words
        return move(to: .waiting, [.retryLater])
    }

    /// What is seen ends the way in, where we still are on it.
    mutating func failing(
        _ sentence: String,
        then resumption: SessionRecord.Resumption
    ) -> [Action] {
        _ = remember(.failed(CustodyFailure(code: 6, sentence, advice: Self.again)))
        return resumed(resumption)
    }

    private mutating func finish() -> [Action] {
        guard !isStoppedByDisk else { return finishStopped() }
        var actions: [Action] = [.journal(.ended(ending), isBinding: false)]
        if isFrontThere, !isFrontAnswered {
            if case .failed(let failure) = cause {
                actions.append(.tell(.failed(failure)))
            } else {
                actions.append(.tell(.released(ending, resumption, isIntact: isIntact)))
            }
        }
        return move(to: .ended, actions + [.end])
    }

    /// It stays as it is: whether its disk or our job was why, nobody here can tell.
    ///
    /// The session stays open, so that ``Recovery`` goes on saying so for as long as it does not run.
    private mutating func finishStopped() -> [Action] {
        let word = Action.tell(.failed(CustodyFailure(code: 7, Self.stoppedByDisk)))
        let isHeard = isFrontThere && !isFrontAnswered
        return move(to: .ended, (isHeard ? [word] : []) + [.end])
    }

    static let stoppedByDisk =
        "QEMU stopped it because a disk could not be written, perhaps for want of room for what it "
        + "overwrote while it was read; the backup job is ended, so let it go on with virsh resume."

    private var ending: SessionRecord.Ending {
        switch cause {
        case .released, nil: .finished
        case .frontGone: .abandoned
        case .limit: .limited
        case .touched, .lost: .invalidated
        case .failed: .refused
        }
    }

    /// Why the hold ends before it was let go of; nil where it was.
    var holdEnding: HoldEnding? {
        switch cause {
        case .limit: .limit(seconds: pauseSecondsMax)
        case .touched(let sentence): .touched(sentence)
        case .lost(let sentence): .lost(sentence)
        case .released, .frontGone, .failed, nil: nil
        }
    }
}
