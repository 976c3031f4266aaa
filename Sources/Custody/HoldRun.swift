internal import DiskFormats
internal import EngineProtocol
internal import Linux

/// One hold, from its session's first record to the last: carries out what ``CustodyMachine`` decides,
/// and tells it what happens.
///
/// One thread, which waits for the front, for libvirt and for the clock at once.
final class HoldRun {
    typealias Event = CustodyMachine.Event
    typealias Action = CustodyMachine.Action

    /// What is waited for, with the machine.
    enum Watch { case suspend, running }

    let channel: Channel
    let surroundings: CustodySurroundings
    let link: DomainLink
    let session: any SessionWriting
    let sessionName: String
    let order: HoldOrder
    let places: ExportPlaces
    var machine: CustodyMachine
    /// What has happened and was not handed in yet.
    var queue: [Event] = []
    var readers: [ProcessIdentity] = []
    var warnings: [String] = []
    /// Records that could not be written and are still to be.
    var leftOvers: [SessionRecord] = []
    var hasJournalFailed = false
    /// The domain as it is held.
    var facts: DomainFacts
    var seenRunning: UInt64 = 0
    var pausedSince: UInt64?
    var pausedUntil: UInt64?
    /// Whether our own suspend has been told by libvirt.
    var hasSeenSuspend = false
    var watch: Watch?
    var isFrontThere = true
    var retries = 0
    var timers: [Timer: UInt64] = [:]

    /// What the clock may say.
    enum Timer: Hashable { case watch, glance, limit, stop, overdue, retry, reconnect, look }

    init(
        _ channel: Channel,
        _ surroundings: CustodySurroundings,
        _ link: DomainLink,
        _ session: any SessionWriting,
        named sessionName: String,
        _ order: HoldOrder,
        mode: HoldMode,
        facts: DomainFacts
    ) {
        self.channel = channel
        self.surroundings = surroundings
        self.link = link
        self.session = session
        self.sessionName = sessionName
        self.order = order
        self.facts = facts
        places = ExportPlaces(stateDirectory: order.stateDirectory, session: sessionName)
        machine = CustodyMachine(mode: mode, pauseSecondsMax: order.pauseSecondsMax)
    }

    var times: CustodyTimes { surroundings.times }

    /// Holds, and lets go; returns whether the front is still there.
    func work(seenRunning: UInt64) -> Bool {
        self.seenRunning = seenRunning
        queue.append(.begin(seenRunning: seenRunning))
        while !machine.hasEnded {
            if queue.isEmpty {
                wait()
            } else {
                take(queue.removeFirst())
            }
        }
        return isFrontThere
    }

    private func take(_ event: Event) {
        if event == .domain(.resumed) || event == .seen(.running), pausedUntil == nil {
            pausedUntil = monotonicNanoseconds()
        }
        for action in machine.handle(event) {
            guard perform(action) else { break }
        }
        setTimers()
    }

    /// The timers that follow from where the machine is.
    private func setTimers() {
        start(.stop, after: times.stop, when: machine.awaitsFront)
        start(.overdue, after: times.overdue, when: machine.isUnwinding)
        start(.look, after: times.look, when: machine.isHolding)
        if !machine.awaitsState { (watch, timers[.watch], timers[.glance]) = (nil, nil, nil) }
    }

    private func start(_ timer: Timer, after seconds: Double, when isWanted: Bool) {
        if !isWanted { timers[timer] = nil }
        if isWanted, timers[timer] == nil { timers[timer] = deadline(inSeconds: seconds) }
    }

    // MARK: - Waiting

    private func wait() {
        // A negative number is passed over (poll(2)); a lost connection has nothing more to say.
        let signal = timers[.reconnect] == nil ? link.signal : -1
        let front = isFrontThere ? channel.descriptor.number : -1
        let ready = try? waitForAny(
            of: [(signal, .readable), (front, .readable)],
            deadline: timers.values.min()
        )
        if ready?.first?.isEmpty == false { takeDomainEvents() }
        if ready?.last?.isEmpty == false { takeRequest() }
        let now = monotonicNanoseconds()
        for (timer, due) in timers.sorted(by: { $0.value < $1.value }) where due <= now {
            timers[timer] = nil
            fire(timer)
        }
    }

    private func fire(_ timer: Timer) {
        switch timer {
        case .watch, .glance: glance()
        case .limit: queue.append(.limit)
        case .stop: queue.append(.stopTimeout)
        case .overdue: queue.append(.overdue)
        case .retry: queue.append(.retry)
        case .reconnect: reconnect()
        case .look: lookAtHold()
        }
    }

    /// Hands in what libvirt has told; what it told before our suspend is about the time before it.
    func takeDomainEvents() {
        for event in link.events() {
            if event == .connectionClosed {
                queue.append(.connectionLost)
            } else if watch == .suspend, !hasSeenSuspend, event == .suspended {
                hasSeenSuspend = true
                timers[.glance] = monotonicNanoseconds()
            } else if watch == .suspend, !hasSeenSuspend, event == .resumed {
                continue
            } else {
                queue.append(.domain(event))
            }
        }
    }

    private func takeRequest() {
        let end = deadline(inSeconds: times.message)
        guard let message = try? channel.receive(deadline: end),
            let request = try? CustodyRequest(message)
        else { return frontWent() }
        switch request {
        case .step(let step, let numbers):
            let identities = numbers.compactMap { ProcessIdentity(of: $0) }
            for identity in identities where !readers.contains(identity) {
                readers.append(identity)
            }
            queue.append(.step(step, readers: identities))
        case .release: queue.append(.release)
        case .stopped: queue.append(.stopped)
        case .connect, .list, .find, .hold, .recover:
            send(.failed(CustodyFailure(code: 2, "Something is held already.")))
        }
    }

    private func frontWent() {
        isFrontThere = false
        queue.append(.frontGone)
    }

    /// Tells the front; one that does not take it in counts as gone.
    func send(_ report: CustodyReport) {
        guard isFrontThere else { return }
        do throws(SystemError) { try channel.send(report.bytes) } catch { frontWent() }
    }
}
