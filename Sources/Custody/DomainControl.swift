package import Linux

/// One run of a domain: one that is started again keeps its uuid and gets another id.
package struct DomainRun: Hashable, Sendable {
    /// The uuid, in lower case.
    package let uuid: String
    /// libvirt's number of the run.
    package let id: Int32

    package init(uuid: String, id: Int32) {
        self.uuid = uuid
        self.id = id
    }
}

/// The states of a domain (libvirt's virDomainState); the raw value is ours, for records.
package enum DomainState: String, Sendable, CaseIterable {
    case none = "no-state"
    case running
    case blocked
    case paused
    case shuttingDown = "shutting-down"
    case shutOff = "shut-off"
    case crashed
    /// Suspended by the guest's own power management.
    case sleeping = "pm-suspended"
}

/// Why a domain is paused (libvirt's virDomainPausedReason).
package enum PauseReason: String, Sendable, CaseIterable {
    case unknown
    /// Somebody asked for it; libvirt does not say who.
    case user
    case migration
    case save
    case dump
    case ioError = "io-error"
    case watchdog
    case fromSnapshot = "from-snapshot"
    case shuttingDown = "shutting-down"
    case snapshot
    case crashed
    case startingUp = "starting-up"
    case postCopy = "post-copy"
    case postCopyFailed = "post-copy-failed"
    case other
}

/// What libvirt is doing with a domain that takes long.
package enum DomainJob: String, Sendable, CaseIterable {
    case none
    case backup
    case migration
    case save
    case dump
    case snapshot
    case other
    /// libvirt itself has lost track of it, as after it was killed while it began a backup.
    case unknown
}

/// How a domain is at one moment.
package struct DomainStatus: Equatable, Sendable {
    /// The number of the run; nil where it does not run.
    package var id: Int32?
    package var state: DomainState
    /// Why it is paused, where it is.
    package var pauseReason: PauseReason?
    package var job: DomainJob
    /// Whether its memory was saved, so that it is not merely shut off.
    package var hasManagedSave: Bool

    package init(
        id: Int32?,
        state: DomainState,
        pauseReason: PauseReason? = nil,
        job: DomainJob = .none,
        hasManagedSave: Bool = false
    ) {
        self.id = id
        self.state = state
        self.pauseReason = pauseReason
        self.job = job
        self.hasManagedSave = hasManagedSave
    }
}

/// What is known of a domain.
package struct DomainFacts: Equatable, Sendable {
    /// The uuid, in lower case.
    package var uuid: String
    /// The name by which libvirt knows it, such as `instance-0000002a`.
    package var name: String
    package var status: DomainStatus
    /// Its XML, the live one where it runs; who wrote what is in it is not known.
    package var description: String

    package init(uuid: String, name: String, status: DomainStatus, description: String) {
        self.uuid = uuid
        self.name = name
        self.status = status
        self.description = description
    }

    /// The run that it is in; nil where it does not run.
    package var run: DomainRun? { status.id.map { DomainRun(uuid: uuid, id: $0) } }
}

/// What happened to a domain, as libvirt tells whoever listens.
package enum DomainEvent: Equatable, Sendable {
    case suspended
    case resumed
    case started
    /// Its QEMU has ended: shut down, destroyed, crashed.
    case stopped
    /// It goes on at another host, paused where it was paused here.
    case migrated
    case crashed
    /// Reset or rebooted; the run goes on.
    case rebooted
    case sleeping
    /// QEMU has paused it because a disk could not be written.
    case ioError
    /// The connection has ended; there are no more events.
    case connectionClosed
    /// Events came faster than they were taken, and some are missing.
    case lost
}

/// Why libvirt did not do what it was asked for.
package struct DomainControlError: Error, Equatable, Sendable {
    package enum Kind: Sendable, CaseIterable {
        /// There is no such domain.
        case noDomain
        /// libvirt does not answer, or the connection was lost.
        case connectionLost
        /// The domain is in a state that does not allow it.
        case wrongState
        /// This libvirt or QEMU cannot do it.
        case unsupported
        /// The request itself makes no sense, such as a URI of another host.
        case usage
        /// Anything else.
        case failed
    }

    package let kind: Kind
    /// libvirt's own number of the error (virErrorNumber); 0 where it comes from elsewhere.
    package let code: Int32
    /// A sentence without its full stop, fit for a terminal.
    package let message: String

    package init(_ kind: Kind, code: Int32 = 0, _ message: String) {
        self.kind = kind
        self.code = code
        self.message = message
    }
}

/// One domain on one connection to libvirt.
///
/// Every call may block, for a bounded time; none may be repeated by the implementation.
package protocol DomainControl: AnyObject, Sendable {
    var uuid: String { get }
    var name: String { get }
    /// How it is now.
    func status() throws(DomainControlError) -> DomainStatus
    /// Whether libvirt carries out a call at this moment, for whoever asked; that one may have gone.
    func isOccupied() throws(DomainControlError) -> Bool
    /// The live XML; the inactive one where it does not run.
    func description() throws(DomainControlError) -> String
    func suspend() throws(DomainControlError)
    func resume() throws(DomainControlError)
    /// Starts a backup job in pull mode: `xml` is a `<domainbackup mode='pull'>`.
    func beginBackup(_ xml: String) throws(DomainControlError)
    /// The XML of the backup job that runs; nil where none does.
    func backupDescription() throws(DomainControlError) -> String?
    /// Ends the job that runs.
    func abortJob() throws(DomainControlError)
    /// What happened since the last call, to this domain and to the connection.
    func events() -> [DomainEvent]
}

extension DomainControl {
    /// All that is known of it now.
    package func facts() throws(DomainControlError) -> DomainFacts {
        let status = try status()
        return DomainFacts(
            uuid: uuid,
            name: name,
            status: status,
            description: try description()
        )
    }
}

/// A connection to libvirt, which listens to events from its beginning on.
package protocol DomainConnection: AnyObject, Sendable {
    /// The URI that it really has.
    var uri: String { get }
    /// Versions of library and hypervisor, for the record.
    var versions: String { get }
    /// Becomes readable when there are events.
    var signal: FileDescriptor { get }
    /// Finds a domain by its uuid, id or name.
    func domain(named name: String) throws(DomainControlError) -> any DomainControl
    /// All domains, whether they run or not.
    func domains() throws(DomainControlError) -> [any DomainControl]
}

/// Makes connections; a new one where the last was lost.
package protocol DomainHost: Sendable {
    func connect() throws(DomainControlError) -> any DomainConnection
}
