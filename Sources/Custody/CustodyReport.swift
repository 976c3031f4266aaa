/// What the custodian tells the front.
package enum CustodyReport: Equatable, Sendable {
    /// libvirt answers: the URI in use, and versions for the record.
    case connected(uri: String, versions: String)
    case domains([DomainFacts])
    case domain(DomainFacts)
    /// The domain is held from now on.
    case held(Held)
    /// A step was noted.
    case noted
    /// What is read from now on may be wrong: stop, and answer ``CustodyRequest/stopped``. Not an
    /// answer: it comes at any time between ``held`` and ``released``.
    case invalidated(HoldEnding)
    /// Nothing is held any more.
    case released(Release)
    /// What became of each session that was left behind.
    case recovered([RecoveredSession])
    /// The request was not carried out; nothing is held because of it, but where `kind` is 7.
    case failed(CustodyFailure)
}

/// What the front gets when a domain is held.
package struct Held: Equatable, Sendable {
    /// The session's name.
    package var session: String
    /// The domain as it was after the suspend.
    package var facts: DomainFacts
    package var mode: HoldMode
    /// In brief mode: where the disks are to be read.
    package var exports: [Export]
    /// When the hold ends by itself, in monotonic nanoseconds; `UInt64.max` where the domain is not
    /// paused by us any more.
    package var deadline: UInt64
    /// What a user ought to know, a sentence each.
    package var warnings: [String]

    package struct Export: Equatable, Sendable {
        /// The disk's target, such as `vda`, which is also the name of the export.
        package var target: String
        /// The Unix socket of the NBD server.
        package var socket: String

        package init(target: String, socket: String) {
            self.target = target
            self.socket = socket
        }
    }

    package init(
        session: String,
        facts: DomainFacts,
        mode: HoldMode,
        exports: [Export] = [],
        deadline: UInt64,
        warnings: [String] = []
    ) {
        self.session = session
        self.facts = facts
        self.mode = mode
        self.exports = exports
        self.deadline = deadline
        self.warnings = warnings
    }
}

/// Why a hold ended before it was let go of.
package enum HoldEnding: Hashable, Sendable {
    /// The longest pause is over.
    case limit(seconds: UInt32)
    /// The domain is not as we held it; a sentence.
    case touched(String)
    /// libvirt or an export failed; a sentence.
    case lost(String)
}

/// How a hold was let go of.
package struct Release: Equatable, Sendable {
    /// How the session ended.
    package var ending: SessionRecord.Ending
    /// How the domain came to run again.
    package var resumption: SessionRecord.Resumption
    /// How long the domain was paused by us, in nanoseconds.
    package var pausedNanoseconds: UInt64
    /// Whether the domain was as we held it until the last read had ended, for all that is known.
    package var isIntact: Bool
    /// What a user ought to know, a sentence each.
    package var warnings: [String]

    package init(
        ending: SessionRecord.Ending,
        resumption: SessionRecord.Resumption,
        pausedNanoseconds: UInt64,
        isIntact: Bool,
        warnings: [String] = []
    ) {
        self.ending = ending
        self.resumption = resumption
        self.pausedNanoseconds = pausedNanoseconds
        self.isIntact = isIntact
        self.warnings = warnings
    }
}

/// What became of a session that was left behind.
package struct RecoveredSession: Equatable, Sendable {
    package var session: String
    package var uuid: String
    package var domain: String
    package var outcome: Outcome
    /// What was done, or what is left to a person; a sentence.
    package var detail: String

    package enum Outcome: String, Sendable, CaseIterable {
        /// Nothing is held any more.
        case recovered
        /// Somebody is at work in it.
        case active
        /// It is still held: libvirt does not answer, or would not resume.
        case held
        /// Its journal cannot be relied on; nothing was done.
        case refused
    }

    package init(
        session: String,
        uuid: String,
        domain: String,
        outcome: Outcome,
        detail: String
    ) {
        self.session = session
        self.uuid = uuid
        self.domain = domain
        self.outcome = outcome
        self.detail = detail
    }
}

/// Why a request was not carried out.
package struct CustodyFailure: Error, Hashable, Sendable {
    /// The exit code that fits: 2 usage, 3 refused, 4 not found, 5 unreadable, 6 wrong state, 7 still
    /// held.
    package var code: UInt8
    /// What happened, a sentence.
    package var message: String
    /// What to do next, a sentence; or empty.
    package var advice: String

    package init(code: UInt8, _ message: String, advice: String = "") {
        self.code = code
        self.message = message
        self.advice = advice
    }
}
