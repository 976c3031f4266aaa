internal import Linux

/// One domain over a connection that may be lost and made again.
final class DomainLink {
    let host: any DomainHost
    let run: DomainRun
    private(set) var connection: any DomainConnection
    /// Nil where libvirt does not know the domain any more.
    private(set) var control: (any DomainControl)?

    init(
        host: any DomainHost,
        connection: any DomainConnection,
        control: any DomainControl,
        run: DomainRun
    ) {
        self.host = host
        self.connection = connection
        self.control = control
        self.run = run
    }

    /// Becomes readable when there are events.
    var signal: CInt { connection.signal.number }

    /// What happened since the last call.
    func events() -> [DomainEvent] { control?.events() ?? [] }

    /// How the domain is; throws only where the connection is lost.
    func sighting() throws(DomainControlError) -> DomainSighting {
        guard let control else { return .gone }
        do throws(DomainControlError) {
            return DomainSighting(try control.status(), of: run)
        } catch {
            switch error.kind {
            case .noDomain: return .gone
            case .connectionLost: throw error
            default: return .otherwise("cannot be looked at: \(error.message)")
            }
        }
    }

    /// Connects anew and finds the domain again.
    func connectAgain() throws(DomainControlError) {
        let made = try host.connect()
        var found: (any DomainControl)?
        do throws(DomainControlError) {
            found = try made.domain(named: run.uuid)
        } catch {
            guard error.kind == .noDomain else { throw error }
        }
        // A name could be that of another domain.
        (connection, control) = (made, found?.uuid == run.uuid ? found : nil)
    }

    /// Ends the backup job that runs, where it is the one at `places`.
    func abortJob(
        at places: ExportPlaces
    ) throws(DomainControlError) -> CustodyMachine.AbortAnswer {
        guard let control else { return .notOurs }
        do throws(DomainControlError) {
            guard let job = try control.backupDescription(),
                BackupDescription.isOurs(job, places)
            else { return .notOurs }
            try control.abortJob()
            return .ended
        } catch {
            switch error.kind {
            case .connectionLost: throw error
            case .noDomain, .unsupported: return .notOurs
            default: return .failed
            }
        }
    }
}
