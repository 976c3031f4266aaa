internal import Linux

// What the machine wants done.
extension HoldRun {
    /// Does it; false where nothing that follows it may be done.
    func perform(_ action: Action) -> Bool {
        switch action {
        case .journal(let record, let isBinding): return journal(record, isBinding)
        case .suspend: suspend()
        case .confirmSuspend: begin(.suspend)
        case .beginBackup: beginBackup()
        case .look: look()
        case .resume: resume()
        case .confirmRunning: begin(.running)
        case .abortJob: abortJob()
        case .removeExports: removeExports()
        case .killReaders: killReaders()
        case .killFront: end(surroundings.front, "The program that reads")
        case .tell(let word): tell(word)
        case .reconnect: timers[.reconnect] = monotonicNanoseconds()
        case .retryLater: retryLater()
        case .end:
            timers = [:]
            finishJournal()
        }
        return true
    }

    /// Writes `record`, after those that could not be written before it.
    private func journal(_ record: SessionRecord, _ isBinding: Bool) -> Bool {
        if case .resumed = record, pausedUntil == nil { pausedUntil = monotonicNanoseconds() }
        do throws(SystemError) {
            try writeLeftOvers()
            try write(record)
        } catch {
            if !hasJournalFailed {
                warnings.append("The session's journal could not be written: \(error).")
            }
            hasJournalFailed = true
            guard isBinding else {
                leftOvers.append(record)
                return true
            }
            queue.insert(.journalFailed, at: 0)
            return false
        }
        return true
    }

    private func write(_ record: SessionRecord) throws(SystemError) {
        try surroundings.probe.around(record) { () throws(SystemError) in
            try session.append(record)
        }
    }

    private func writeLeftOvers() throws(SystemError) {
        while let record = leftOvers.first {
            try write(record)
            leftOvers.removeFirst()
        }
    }

    /// A journal that says less than was done would have somebody resume what others pause later.
    private func finishJournal() {
        for _ in 0..<Self.lastAttempts where !leftOvers.isEmpty {
            guard (try? writeLeftOvers()) == nil else { return }
            pauseThread(seconds: times.retry)
        }
    }

    private static let lastAttempts = 10

    // MARK: - libvirt

    private func suspend() {
        let now = monotonicNanoseconds()
        guard now - seenRunning < UInt64(times.freshness * 1e9) else {
            let words = "The session's journal took so long that the domain may have changed."
            queue.append(.suspendReturned(.notAsked(words)))
            return
        }
        pausedSince = now
        timers[.limit] = now + UInt64(order.pauseSecondsMax) * 1_000_000_000
        asking({ control throws(DomainControlError) in
            try control.suspend()
            return .suspendReturned(.done)
        }) { .suspendReturned(.failed("libvirt did not suspend it: \($0.message).")) }
    }

    private func resume() {
        asking({ control throws(DomainControlError) in
            try control.resume()
            return .resumeReturned(isDone: true)
        }) {
            if !warnings.contains($0.message) { warnings.append($0.message) }
            return .resumeReturned(isDone: false)
        }
    }

    private func beginBackup() {
        let xml: String
        do throws(SessionError) {
            try places.make(owner: order.owner)
            if let shortage = SpaceWatch.shortage(order, surroundings.freeBytes(places.directory)) {
                queue.append(.exportReturned(shortage))
                return
            }
            xml = try BackupDescription.xml(order, places)
        } catch {
            let sentence = "The place of the point in time cannot be made: \(error)."
            queue.append(.exportReturned(CustodyFailure(code: 6, sentence)))
            return
        }
        asking({ control throws(DomainControlError) in
            try control.beginBackup(xml)
            return .exportReturned(nil)
        }) {
            let isUnsupported = $0.kind == .unsupported
            let words = isUnsupported ? "unsupported by this libvirt or QEMU" : "not made"
            return .exportReturned(
                CustodyFailure(
                    code: isUnsupported ? 5 : 6,
                    "A point in time is \(words): \($0.message).",
                    advice: "Use --pause=strict, which suspends it for as long as it is read."
                )
            )
        }
    }

    private func abortJob() {
        do throws(DomainControlError) {
            queue.append(.abortReturned(try link.abortJob(at: places)))
        } catch {
            queue.append(.connectionLost)
        }
    }

    /// Asks libvirt for something; what it cannot do is an event, and so is its absence.
    private func asking(
        _ body: (any DomainControl) throws(DomainControlError) -> Event,
        _ failed: (DomainControlError) -> Event
    ) {
        do throws(DomainControlError) {
            guard let control = link.control else {
                throw DomainControlError(.noDomain, "the domain is gone")
            }
            queue.append(try body(control))
        } catch {
            queue.append(error.kind == .connectionLost ? .connectionLost : failed(error))
        }
    }

    func look() {
        do throws(DomainControlError) {
            let isSettled = !machine.isSuspendUnanswered
            let sighting = isSettled ? try link.sighting() : try link.settledSighting(times)
            // What happened before the look comes before it.
            takeDomainEvents()
            queue.append(.seen(sighting))
        } catch {
            queue.append(.connectionLost)
        }
    }

    /// Now and then while it is held: what has no event, and whether scratch space runs out.
    func lookAtHold() {
        look()
        guard machine.mode == .brief else { return }
        if let words = SpaceWatch.runsOut(surroundings.freeBytes(places.directory)) {
            queue.append(.failing(words))
        }
    }

    // MARK: - Waiting for a state

    private func begin(_ watch: Watch) {
        self.watch = watch
        timers[.watch] = deadline(inSeconds: times.confirmation)
        timers[.glance] = monotonicNanoseconds()
    }

    private func endWatch(_ event: Event) {
        watch = nil
        (timers[.watch], timers[.glance]) = (nil, nil)
        queue.append(event)
    }

    /// Sees whether it is as it is waited for.
    func glance() {
        guard let watch else { return }
        let isLate = (timers[.watch] ?? 0) <= monotonicNanoseconds()
        do throws(DomainControlError) {
            let (sighting, status) = try link.look()
            takeDomainEvents()
            switch (watch, sighting) {
            case (.suspend, .paused) where hasSeenSuspend: return try confirmSuspend(status)
            case (.suspend, _) where isLate: return endWatch(.suspendUnconfirmed)
            case (.suspend, .gone), (.suspend, .otherwise): return endWatch(.seen(sighting))
            case (.running, .running), (.running, .gone): return endWatch(.seen(sighting))
            case (.running, _) where isLate: return endWatch(.seen(sighting))
            default: break
            }
        } catch {
            return endWatch(.connectionLost)
        }
        timers[.glance] = deadline(inSeconds: times.glance)
    }

    /// Describes the domain, which is paused with `status`.
    ///
    /// Each question makes the pause longer: what the look has told is not asked again.
    private func confirmSuspend(_ status: DomainStatus?) throws(DomainControlError) {
        guard let control = link.control, let status else { return endWatch(.seen(.gone)) }
        do throws(DomainControlError) {
            facts = DomainFacts(
                uuid: control.uuid,
                name: control.name,
                status: status,
                description: try control.description()
            )
            endWatch(.suspendSeen)
        } catch {
            guard error.kind != .connectionLost else { throw error }
            let words = "cannot be described: \(error.message)"
            endWatch(.seen(error.kind == .noDomain ? .gone : .otherwise(words)))
        }
    }

    func reconnect() {
        do throws(DomainControlError) {
            try link.connectAgain()
            queue.append(.connectionRestored)
        } catch {
            timers[.reconnect] = deadline(inSeconds: times.retry)
        }
    }

    private func retryLater() {
        retries += 1
        // After a while there is no hurry any more.
        timers[.retry] = deadline(inSeconds: retries < 50 ? times.retry : times.retry * 5)
    }

    // MARK: - Processes, files, words

    private func removeExports() {
        do throws(SessionError) { try places.remove() } catch {
            warnings.append("\(places.directory) cannot be removed: \(error).")
        }
    }

    private func killReaders() {
        for reader in readers { end(reader, "A process that reads") }
    }

    private func end(_ process: ProcessIdentity, _ what: String) {
        switch process.end(ifProgramIn: surroundings.programs) {
        case .ended, .gone: break
        case .stranger(let path):
            warnings.append("\(what), \(process.processID), was left alone: it runs \(path).")
        case .remains:
            warnings.append("\(what), \(process.processID), could not be ended.")
        }
    }

    private func tell(_ word: CustodyMachine.Word) {
        switch word {
        case .held: send(.held(held))
        case .noted: send(.noted)
        case .invalidated(let ending): send(.invalidated(ending))
        case .failed(let failure): send(.failed(failure))
        case .released(let ending, let resumption, let isIntact):
            let paused = pausedSince.map { (pausedUntil ?? monotonicNanoseconds()) - $0 }
            send(
                .released(
                    Release(
                        ending: ending,
                        resumption: resumption,
                        pausedNanoseconds: paused ?? 0,
                        isIntact: isIntact,
                        warnings: warnings
                    )
                )
            )
        }
    }

    private var held: Held {
        let exports = order.exports.map {
            Held.Export(target: $0.target, socket: places.socket)
        }
        let isPausedByUs = machine.mode == .strict
        return Held(
            session: sessionName,
            facts: facts,
            mode: machine.mode,
            exports: machine.mode == .brief ? exports : [],
            deadline: isPausedByUs ? timers[.limit] ?? .max : .max,
            warnings: warnings
        )
    }
}

extension Optional where Wrapped == any CustodyProbe {
    /// Runs `body`, which writes `record`.
    func around(
        _ record: SessionRecord,
        _ body: () throws(SystemError) -> Void
    ) throws(SystemError) {
        let event = "\(record.event)"
        self?.reached(CustodyPoint(side: .before, event: event))
        try body()
        self?.reached(CustodyPoint(side: .after, event: event))
    }
}
