// What the domain does, and the connection to it.
extension CustodyMachine {
    /// A look at the domain.
    mutating func see(_ sighting: DomainSighting) -> [Action] {
        switch (phase, sighting) {
        case (.confirming, .gone), (.confirming, .otherwise): fail(6, Self.sentence(sighting))
        case (.holding, _): check(sighting)
        case (.releasing, .paused): releaseIntact()
        case (.releasing, _): disturbed(by: sighting)
        case (.looking, _) where pause == .none: goOn()
        case (.looking, .paused): resume()
        case (.looking, .running), (.watching, .running): resumed(asSeenRunning)
        case (.looking, .gone): resumed(.gone)
        case (.looking, .otherwise(let words)): waitFor(words)
        case (.watching, .gone): failing("It ended while it was resumed.", then: .gone)
        case (.watching, .paused): resumeFailed()
        case (.watching, .otherwise(let words)): resumeFailed(words)
        default: []
        }
    }

    /// How a domain came to run that was paused by us, for all that is known.
    private var asSeenRunning: SessionRecord.Resumption {
        guard hasAskedResume else { return .notNeeded }
        return pause == .intended ? .inferred : .confirmed
    }

    /// In a hold, between reads.
    private mutating func check(_ sighting: DomainSighting) -> [Action] {
        switch (mode, sighting) {
        case (.strict, .paused), (.asFound, .paused), (.brief, .paused), (.brief, .running): []
        default: disturbed(by: sighting)
        }
    }

    /// What is seen shows that it was touched.
    private mutating func disturbed(by sighting: DomainSighting) -> [Action] {
        // Whoever resumed it took it over; where it is gone, the look before a resume finds that.
        if sighting == .running { pause = .none }
        return touch(Self.sentence(sighting))
    }

    private mutating func touch(_ sentence: String) -> [Action] {
        guard phase == .holding else { return unwind(.touched(sentence)) }
        return invalidate(.touched(sentence))
    }

    /// An event of libvirt.
    mutating func notice(_ event: DomainEvent) -> [Action] {
        switch event {
        case .ioError: isStoppedByDisk = isStoppedByDisk || owesJob && pause == .none
        case .resumed, .started, .stopped: isStoppedByDisk = false
        default: break
        }
        if event == .resumed, phase == .watching { return resumed(asSeenRunning) }
        if event == .resumed, phase != .suspending, pause != .none {
            // Whoever resumes it takes it over: what is paused afterwards is not ours.
            resumption = asSeenRunning
            pause = .none
        }
        guard let sentence = disturbance(event) else { return [] }
        switch phase {
        case .holding, .releasing: return touch(sentence)
        case .confirming: return fail(6, sentence)
        case .exporting, .resuming, .watching:
            return remember(.failed(CustodyFailure(code: 6, sentence, advice: Self.again)))
        default: return []
        }
    }

    /// What an event means for what is read; nil where it means nothing.
    private func disturbance(_ event: DomainEvent) -> String? {
        let isRunning = mode == .brief && (phase == .holding || hasAskedResume)
        return switch event {
        case .suspended, .connectionClosed: nil
        case .resumed: isRunning || hasAskedResume ? nil : "Somebody else resumed it."
        case .started: "It was started again."
        case .stopped: "It was stopped, or it ended."
        case .migrated where pause == .none: "It was migrated to another host."
        case .migrated: "It was migrated to another host, where it is paused: resume it there."
        case .crashed: "Its guest crashed."
        case .rebooted: isRunning ? nil : "Somebody else reset it."
        case .sleeping: isRunning ? nil : "It was put to sleep."
        case .ioError: "QEMU paused it because a disk could not be written or read."
        case .lost: "Events of libvirt were lost, so that it may have been touched."
        }
    }

    private static func sentence(_ sighting: DomainSighting) -> String {
        switch sighting {
        case .running: "Somebody else resumed it."
        case .paused: "Somebody else paused it."
        case .otherwise(let words): "It \(words)."
        case .gone: "It was stopped, or restarted."
        }
    }

    // MARK: - The connection

    mutating func connectionLost() -> [Action] {
        guard isConnected else { return [] }
        isConnected = false
        let why = "The connection to libvirt was lost."
        let actions: [Action] =
            switch phase {
            case .holding, .releasing: invalidate(.lost(why))
            case .stopping, .ended: []
            // Where nothing is owed any more, no connection is needed.
            case .withdrawing, .looking, .waiting, .cutOff: goOn()
            case .idle, .suspending, .confirming, .exporting: fail(6, why)
            case .resuming, .watching: fail(6, why)
            }
        return owesAnything ? [.reconnect] + actions : actions
    }

    mutating func connectionRestored() -> [Action] {
        guard !isConnected else { return [] }
        isConnected = true
        return phase == .cutOff ? goOn() : []
    }
}
