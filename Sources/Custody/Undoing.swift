internal import Linux

/// The undoing of one session that was left behind.
final class Undoing {
    typealias Outcome = RecoveredSession.Outcome

    private let surroundings: CustodySurroundings
    private let session: Session
    private let history: SessionHistory
    private let places: ExportPlaces
    private let host: any DomainHost
    private let connection: any DomainConnection
    private var notes: [String] = []
    private var isRecorded = true
    private var isResumed = false

    init(
        _ host: any DomainHost,
        _ connection: any DomainConnection,
        _ surroundings: CustodySurroundings,
        stateDirectory: String,
        _ session: Session,
        _ history: SessionHistory
    ) {
        self.host = host
        self.connection = connection
        self.surroundings = surroundings
        self.session = session
        self.history = history
        places = ExportPlaces(stateDirectory: stateDirectory, session: session.name)
    }

    /// The host was started anew since: nothing runs any more of what ran then.
    func endAfterRestart() -> (Outcome, String) {
        record(.recovering(by: .own))
        removeExports()
        record(.ended(.rebooted))
        notes.insert("The host was restarted since; nothing of it is left.", at: 0)
        return (.recovered, notes.joined(separator: " "))
    }

    /// Ends who reads, then our job, then our pause.
    func undo() -> (Outcome, String) {
        record(.recovering(by: .own))
        endReaders()
        let link: DomainLink?
        do throws(DomainControlError) { link = try found() } catch {
            return held("libvirt does not answer: \(error.message).")
        }
        if link == nil, history.owesJob || history.owesResume != .nothing,
            history.opening.uri != connection.uri
        {
            return held(
                "This libvirt (\(connection.uri)) does not know it; it was held through "
                    + "\(history.opening.uri)."
            )
        }
        if history.owesJob {
            record(.withdrawing)
            if var obstacle = abortJob(link) {
                // Our pause is the greater harm: it is undone all the same.
                isResumed = resume(link) == nil
                // It may be that it is being ended, for whoever asked for that and has gone.
                let end = deadline(inSeconds: surroundings.times.confirmation)
                while let again = abortJob(link) {
                    obstacle = again
                    guard monotonicNanoseconds() < end else { return held(obstacle) }
                    pauseThread(seconds: surroundings.times.retry)
                }
            }
        }
        removeExports()
        if history.owesJob { record(.withdrawn) }
        if !isResumed, let obstacle = resume(link) { return held(obstacle) }
        if isStoppedByDisk(link) { return held(CustodyMachine.stoppedByDisk) }
        record(.ended(.recovered))
        if notes.isEmpty { notes.append("Nothing was left of it but its journal.") }
        return (.recovered, notes.joined(separator: " "))
    }

    private func held(_ sentence: String) -> (Outcome, String) {
        (.held, (notes + [sentence]).joined(separator: " "))
    }

    private func found() throws(DomainControlError) -> DomainLink? {
        let run = history.opening.run
        do throws(DomainControlError) {
            let control = try connection.domain(named: run.uuid)
            guard control.uuid == run.uuid else { return nil }
            return DomainLink(host: host, connection: connection, control: control, run: run)
        } catch {
            guard error.kind == .noDomain else { throw error }
            return nil
        }
    }

    /// Whether it does not run because of a disk, which our backup job may have been why.
    private func isStoppedByDisk(_ link: DomainLink?) -> Bool {
        let hadJob = history.records.contains { $0.record == .exporting }
        guard hadJob, let status = try? link?.control?.status() else { return false }
        return status.id == history.opening.run.id && status.pauseReason == .ioError
    }

    private func endReaders() {
        for process in [history.opening.program] + history.readers {
            // The front that asks for this may be the one of that session.
            guard process != surroundings.front else { continue }
            switch process.end(ifProgramIn: surroundings.programs) {
            case .gone: break
            case .ended: notes.append("Process \(process.processID), which read, was ended.")
            case .stranger(let path):
                notes.append("Process \(process.processID) was left alone: it runs \(path).")
            case .remains: notes.append("Process \(process.processID) could not be ended.")
            }
        }
    }

    /// Why our job could not be ended; nil where there is none of ours any more.
    private func abortJob(_ link: DomainLink?) -> String? {
        do throws(DomainControlError) {
            switch try link?.abortJob(at: places) {
            case .ended: notes.append("Its backup job was ended.")
            case .notOurs, nil: break
            case .failed: return "Its backup job could not be ended."
            }
            return nil
        } catch {
            return "libvirt does not answer: \(error.message)."
        }
    }

    /// Why the domain is still paused by us, or may be; nil where it is not.
    private func resume(_ link: DomainLink?) -> String? {
        guard history.owesResume != .nothing else { return nil }
        guard let link else { return resumed(.gone, "libvirt does not know it any more.") }
        do throws(DomainControlError) {
            switch try settled(link) {
            case .gone: return resumed(.gone, "It is in another run, or does not run.")
            case .running: return resumed(.notNeeded, "It runs.")
            case .otherwise(let words):
                return "It \(words), so that it was not resumed; see virsh domstate --reason."
            case .paused: return try resumePaused(link)
            }
        } catch {
            return "It could not be resumed: \(error.message)."
        }
    }

    /// How it is, once no suspend of ours can be under way any more.
    private func settled(_ link: DomainLink) throws(DomainControlError) -> DomainSighting {
        guard case .intent = history.owesResume else { return try link.sighting() }
        return try link.settledSighting(surroundings.times)
    }

    private func resumePaused(_ link: DomainLink) throws(DomainControlError) -> String? {
        let resumption: SessionRecord.Resumption
        switch history.owesResume {
        case .nothing: return nil
        case .confirmed: resumption = .confirmed
        case .intent(let seenRunning, let suspending):
            let freshness = UInt64(surroundings.times.freshness * 1e9)
            guard suspending >= seenRunning, suspending - seenRunning < freshness else {
                return resumed(.notNeeded, "It is paused, and nothing shows that we did it.")
            }
            resumption = .inferred
        }
        record(.resuming)
        var obstacle = "libvirt says that it was resumed, but it does not run."
        do throws(DomainControlError) { try link.control?.resume() } catch {
            // A resume may have been under way, for whoever asked for it and has gone.
            guard error.kind != .connectionLost else { throw error }
            obstacle = "It could not be resumed: \(error.message)."
        }
        let end = deadline(inSeconds: surroundings.times.confirmation)
        while true {
            switch try link.sighting() {
            case .running:
                let how = resumption == .inferred ? ", as it ran just before our suspend" : ""
                return resumed(resumption, "It was resumed\(how).")
            case .gone: return resumed(.gone, "It ended while it was resumed.")
            case .paused, .otherwise:
                guard monotonicNanoseconds() < end else { return obstacle }
            }
            pauseThread(seconds: surroundings.times.glance)
        }
    }

    private func resumed(
        _ resumption: SessionRecord.Resumption,
        _ sentence: String
    ) -> String? {
        record(.resumed(resumption))
        notes.append(sentence)
        return nil
    }

    private func removeExports() {
        do throws(SessionError) { try places.remove() } catch {
            notes.append("\(places.directory) cannot be removed: \(error).")
        }
    }

    /// Writes it down where that is possible; no full disk keeps a domain paused.
    private func record(_ record: SessionRecord) {
        // Attempts are repeated for as long as it takes: room is kept for what ends them.
        if record.isAttempt, session.history.byteCount > SessionJournal.attemptBytesMax { return }
        do throws(SystemError) {
            try surroundings.probe.around(record) { () throws(SystemError) in
                try session.append(record)
            }
        } catch {
            if isRecorded { notes.append("Its journal cannot be written: \(error).") }
            isRecorded = false
        }
    }
}

extension SessionRecord {
    /// Whether it only says what is about to be tried, which what comes of it says as well.
    fileprivate var isAttempt: Bool {
        switch self {
        case .recovering, .withdrawing, .resuming: true
        default: false
        }
    }
}
