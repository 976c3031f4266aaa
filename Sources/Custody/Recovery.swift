internal import Linux

/// Takes over what custodians have left behind, and undoes it; to be repeated without harm.
///
/// A journal that cannot be relied on is reported, and nothing is done because of it.
struct Recovery {
    typealias Outcome = RecoveredSession.Outcome

    private let host: any DomainHost
    private let connection: any DomainConnection
    private let surroundings: CustodySurroundings
    private let stateDirectory: String

    init(
        _ host: any DomainHost,
        _ connection: any DomainConnection,
        _ surroundings: CustodySurroundings,
        stateDirectory: String
    ) {
        self.host = host
        self.connection = connection
        self.surroundings = surroundings
        self.stateDirectory = stateDirectory
    }

    private var store: SessionStore { SessionStore(stateDirectory: stateDirectory) }

    /// What became of each session that has not ended; of the one of that name, whether it has or not.
    func recover(_ name: String?) throws(CustodyFailure) -> [RecoveredSession] {
        let entries: [SessionEntry]
        do throws(SessionError) { entries = try store.list() } catch {
            throw CustodyFailure(code: 6, "The sessions cannot be looked at: \(error).")
        }
        if let name, !entries.contains(where: { $0.name == name }) {
            throw CustodyFailure(code: 4, "There is no session of that name.")
        }
        defer { store.prune(keeping: Custodian.sessionsKept) }
        return entries.filter { name == nil ? !$0.hasEnded : $0.name == name }
            .prefix(CustodyRequest.domainsMax).map(recover)
    }

    private func recover(_ entry: SessionEntry) -> RecoveredSession {
        switch entry.content {
        case .refused(let reason):
            return RecoveredSession(
                session: entry.name,
                uuid: "",
                domain: "",
                outcome: .refused,
                detail: "Its journal cannot be relied on, and nothing was done: \(reason)."
            )
        case .history(let history):
            // Whoever asks for it by its name may have waited for its custodian to end it.
            let (outcome, detail) = history.hasEnded ? Self.ended : takeOver(entry, history)
            return RecoveredSession(
                session: entry.name,
                uuid: history.opening.run.uuid,
                domain: history.opening.domain,
                outcome: outcome,
                detail: detail
            )
        }
    }

    private static let ended = (Outcome.recovered, "It has ended by itself.")

    /// The session; nil where somebody stays at work on it, for who reads, or for longer than that takes
    /// where nobody does.
    private func takeOver(
        _ entry: SessionEntry,
        from program: ProcessIdentity
    ) throws(SessionError) -> Session? {
        let end = deadline(inSeconds: surroundings.times.confirmation)
        var isActive = entry.isActive
        while true {
            if !isActive, let session = try store.takeOver(entry.name) { return session }
            guard !program.isAlive, monotonicNanoseconds() < end else { return nil }
            pauseThread(seconds: surroundings.times.retry)
            isActive = false
        }
    }

    /// A custodian that is still there although nobody reads any more cannot let go.
    private static func atWork(_ opening: SessionRecord.Opening) -> (Outcome, String) {
        if opening.program.isAlive { return (.active, "\(opening.user) is at work on it.") }
        guard opening.custodian.isAlive else {
            return (.held, "Somebody else is at work on its recovery.")
        }
        return (
            .held,
            "Who read it has gone, and its custodian, process \(opening.custodian.processID), is still "
                + "letting go of it; end that process only where libvirt and QEMU do not answer it."
        )
    }

    private func takeOver(_ entry: SessionEntry, _ history: SessionHistory) -> (Outcome, String) {
        let opening = history.opening
        do throws(SessionError) {
            guard let session = try takeOver(entry, from: opening.program) else {
                return Self.atWork(opening)
            }
            // Its custodian may have gone on since it was listed.
            let history = session.history
            guard !history.hasEnded else { return Self.ended }
            let boot = try inSession { () throws(SystemError) in try BootID.current() }
            let undoing = Undoing(
                host,
                connection,
                surroundings,
                stateDirectory: stateDirectory,
                session,
                history
            )
            return opening.bootID == boot ? undoing.undo() : undoing.endAfterRestart()
        } catch {
            return (.refused, "It cannot be taken over: \(error).")
        }
    }
}
