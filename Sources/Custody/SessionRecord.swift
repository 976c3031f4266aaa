/// A line of a session's journal: what is about to be done, or has been done.
///
/// A record of an intent is on the disk before the act; the record after it says that it succeeded.
package enum SessionRecord: Hashable, Sendable {
    /// A session begins; nothing has been touched yet.
    case opened(Opening)
    /// The domain is about to be suspended; when it was last seen running (monotonic nanoseconds).
    case suspending(seenRunning: UInt64)
    /// The domain is paused, by us: state, reason and our own event say so.
    case suspended
    /// A backup job is about to be started.
    case exporting
    /// The job runs; its exports stay at this point in time.
    case exported
    /// Reading begins; the processes that do it, besides the program itself.
    case connected(readers: [ProcessIdentity])
    /// File systems are being read.
    case mounted
    /// No file system is read any more.
    case unmounted
    /// No disk is open any more.
    case disconnected
    /// What was read may be wrong from here on, for this reason; reading was stopped.
    case invalidated(reason: String)
    /// The job is about to be ended.
    case withdrawing
    /// The job has ended, and its files are gone.
    case withdrawn
    /// The domain is about to be resumed.
    case resuming
    /// The domain runs again, or does not need us any more.
    case resumed(Resumption)
    /// Somebody takes over a session that was left behind.
    case recovering(by: ProcessIdentity)
    /// Nothing is held any more.
    case ended(Ending)

    /// The first record.
    package struct Opening: Hashable, Sendable {
        /// The session's name, such as `20260131T235959Z-0123456789abcdef`.
        package var session: String
        package var run: DomainRun
        /// The domain's name.
        package var domain: String
        package var mode: HoldMode
        /// Which boot of the host it is (/proc/sys/kernel/random/boot_id).
        package var bootID: String
        /// libvirt's URI, for people; nobody connects to it because it stands here.
        package var uri: String
        package var pauseSecondsMax: UInt32
        /// Whoever asked, such as `alice`.
        package var user: String
        /// The program that reads, and this one.
        package var program: ProcessIdentity
        package var custodian: ProcessIdentity

        package init(
            session: String,
            run: DomainRun,
            domain: String,
            mode: HoldMode,
            bootID: String,
            uri: String,
            pauseSecondsMax: UInt32,
            user: String,
            program: ProcessIdentity,
            custodian: ProcessIdentity
        ) {
            self.session = session
            self.run = run
            self.domain = domain
            self.mode = mode
            self.bootID = bootID
            self.uri = uri
            self.pauseSecondsMax = pauseSecondsMax
            self.user = user
            self.program = program
            self.custodian = custodian
        }
    }

    /// How a domain came to be left alone.
    package enum Resumption: String, Sendable, CaseIterable {
        /// We resumed it, and saw it run.
        case confirmed
        /// We resumed it although our suspend was never confirmed: it ran a moment before.
        case inferred
        /// It was not paused by us, or never was.
        case notNeeded = "not-needed"
        /// It is in another run, or none: what we suspended is gone.
        case gone
    }

    /// How a session ended.
    package enum Ending: String, Sendable, CaseIterable {
        /// As it was meant to.
        case finished
        /// At the longest pause.
        case limited
        /// Because the domain was touched by others, or libvirt was lost.
        case invalidated
        /// Because the program that read had gone, or failed.
        case abandoned
        /// Because it could not begin.
        case refused
        /// By `glovebox recover`, or by the program after the custodian had gone.
        case recovered
        /// By the host's restart.
        case rebooted
    }
}

/// How an instance is held while it is read.
package enum HoldMode: String, Sendable, CaseIterable {
    /// Suspended for as long as it is read.
    case strict
    /// Suspended for as long as a point in time takes, which is then read.
    case brief
    /// Paused by somebody else already, and left so.
    case asFound = "as-found"
}

/// A process that no other can pass for: a number alone is given to others after its end.
package struct ProcessIdentity: Hashable, Sendable {
    package var processID: Int32
    /// When it started, in clock ticks since boot (proc(5), stat, field 22).
    package var startTicks: UInt64

    package init(processID: Int32, startTicks: UInt64) {
        self.processID = processID
        self.startTicks = startTicks
    }
}
