extension CustodyMachine {
    /// What has happened.
    package enum Event: Hashable, Sendable {
        /// The domain was seen running a moment ago, at this time, in monotonic nanoseconds.
        case begin(seenRunning: UInt64)
        case suspendReturned(SuspendAnswer)
        /// After our suspend there was an event of it, and the domain is paused on request.
        case suspendSeen
        case suspendUnconfirmed
        /// The backup job runs (nil), or does not.
        case exportReturned(CustodyFailure?)
        case step(HoldStep, readers: [ProcessIdentity])
        case release
        /// The front reads no more.
        case stopped
        case frontGone
        /// The front does not say that it has stopped.
        case stopTimeout
        /// The longest pause is over.
        case limit
        /// An export will fail soon, or has; a sentence.
        case failing(String)
        /// What libvirt tells; not our own suspend, which is ``suspendSeen``.
        case domain(DomainEvent)
        /// The domain was looked at.
        case seen(DomainSighting)
        case connectionLost
        case connectionRestored
        /// A binding record could not be written; nothing after it was done.
        case journalFailed
        case abortReturned(AbortAnswer)
        case resumeReturned(isDone: Bool)
        /// What failed may be tried again.
        case retry
        /// The front has waited for its last answer for long enough.
        case overdue
    }

    package enum SuspendAnswer: Hashable, Sendable {
        case done
        /// libvirt refused it, or did not say; a sentence.
        case failed(String)
        /// It was not asked for; a sentence.
        case notAsked(String)
    }

    package enum AbortAnswer: Hashable, Sendable {
        /// Our job ran, and has ended.
        case ended
        /// No job runs, or one that is not ours; nothing was done.
        case notOurs
        case failed
    }

    /// What is to be done.
    package enum Action: Hashable, Sendable {
        /// To be on the disk before the next action; what happens where it cannot, see ``CustodyMachine``.
        case journal(SessionRecord, isBinding: Bool)
        case suspend
        /// Wait for our event and state: `suspendSeen` or `suspendUnconfirmed`.
        case confirmSuspend
        case beginBackup
        /// See how the domain is: `seen`.
        case look
        case resume
        /// Wait until it runs: `seen`, whatever there is to be seen at the end.
        case confirmRunning
        /// End the job that runs, where it is ours.
        case abortJob
        /// Remove sockets and scratch files.
        case removeExports
        case killReaders
        case killFront
        case tell(Word)
        /// Connect again, for as long as it takes: `connectionRestored`.
        case reconnect
        /// `retry`, in a while.
        case retryLater
        /// Nothing more is to be done.
        case end
    }

    /// What the front is told.
    package enum Word: Hashable, Sendable {
        case held
        case noted
        case invalidated(HoldEnding)
        case released(SessionRecord.Ending, SessionRecord.Resumption, isIntact: Bool)
        case failed(CustodyFailure)
    }
}

extension HoldEnding {
    /// A sentence, for the record.
    package var sentence: String {
        switch self {
        case .limit(let seconds): "The longest pause of \(seconds) seconds is over."
        case .touched(let sentence), .lost(let sentence): sentence
        }
    }
}
