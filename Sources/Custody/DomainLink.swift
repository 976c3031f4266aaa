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
    func sighting() throws(DomainControlError) -> DomainSighting { try look().sighting }

    /// The same, with what libvirt says of it; nil where it says nothing.
    func look() throws(DomainControlError) -> (sighting: DomainSighting, status: DomainStatus?) {
        guard let control else { return (.gone, nil) }
        do throws(DomainControlError) {
            let status = try control.status()
            return (DomainSighting(status, of: run), status)
        } catch {
            switch error.kind {
            case .noDomain: return (.gone, nil)
            case .connectionLost: throw error
            default: return (.otherwise("cannot be looked at: \(error.message)"), nil)
            }
        }
    }

    /// The same, where a suspend was asked for and not answered: libvirt carries it out even when who
    /// asked has gone, as soon as QEMU lets it.
    ///
    /// Blocks until it is paused, or libvirt has not been waiting for QEMU for a while.
    func settledSighting(_ times: CustodyTimes) throws(DomainControlError) -> DomainSighting {
        let end = deadline(inSeconds: times.settling)
        var quiet = UInt64.max
        while true {
            let began = monotonicNanoseconds()
            let sighting = try sighting()
            guard sighting == .running else { return sighting }
            let isBusy = try isOccupied()
            let now = monotonicNanoseconds()
            // A look that took long may have waited for what it was to see.
            let isQuick = now - began < UInt64(times.settled * 1e9)
            if isBusy || !isQuick {
                quiet = .max
            } else if began >= quiet {
                return .running
            } else {
                quiet = min(quiet, deadline(inSeconds: times.settled))
            }
            if now >= end { return .otherwise("runs, and QEMU does not answer libvirt") }
            pauseThread(seconds: times.glance)
        }
    }

    private func isOccupied() throws(DomainControlError) -> Bool {
        do throws(DomainControlError) { return try control?.isOccupied() ?? false } catch {
            guard error.kind != .connectionLost else { throw error }
            return false
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
