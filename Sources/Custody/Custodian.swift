internal import DiskFormats
package import EngineProtocol
internal import Linux

/// The process that suspends, keeps watch and resumes, in conversation with the front.
///
/// It works on one thread, until the front ends the conversation and nothing is owed any more.
package final class Custodian {
    let channel: Channel
    let surroundings: CustodySurroundings
    private var host: (any DomainHost)?
    private var connection: (any DomainConnection)?
    private var found: (any DomainControl)?

    /// Descriptions are left out of a list that would be too long for a message.
    private static let listedBytesMax = 8 << 20
    static let sessionsKept = 1_000

    package init(_ channel: Channel, _ surroundings: CustodySurroundings) {
        self.channel = channel
        self.surroundings = surroundings
    }

    /// Answers the front until it has gone.
    package func work() {
        while let message = try? channel.receive() {
            guard let request = try? CustodyRequest(message) else { return }
            do throws(CustodyFailure) {
                guard try answer(request) else { return }
            } catch {
                guard send(.failed(error)) else { return }
            }
        }
    }

    /// Answers one request; false where the front has gone.
    private func answer(_ request: CustodyRequest) throws(CustodyFailure) -> Bool {
        switch request {
        case .connect(let uri): return send(try connect(uri))
        case .list: return send(.domains(try list()))
        case .find(let name): return send(.domain(try find(name)))
        case .hold(let order): return try hold(order)
        case .recover(let directory, let session):
            guard let host, let connection else { throw Self.notConnected }
            let recovery = Recovery(host, connection, surroundings, stateDirectory: directory)
            return send(.recovered(try recovery.recover(session)))
        case .step, .stopped, .release:
            throw CustodyFailure(code: 2, "Nothing is held.")
        }
    }

    func send(_ report: CustodyReport) -> Bool { (try? channel.send(report.bytes)) != nil }

    // MARK: - Finding

    private func connect(_ uri: String?) throws(CustodyFailure) -> CustodyReport {
        do throws(DomainControlError) {
            let made = try surroundings.makeHost(uri)
            let connection = try made.connect()
            (host, self.connection, found) = (made, connection, nil)
            return .connected(uri: connection.uri, versions: connection.versions)
        } catch {
            throw CustodyFailure(error, advice: "Is libvirtd running, and may this user use it?")
        }
    }

    private func list() throws(CustodyFailure) -> [DomainFacts] {
        guard let connection else { throw Self.notConnected }
        do throws(DomainControlError) {
            var (facts, bytes): ([DomainFacts], Int) = ([], 0)
            for control in try connection.domains().prefix(CustodyRequest.domainsMax) {
                do throws(DomainControlError) {
                    var each = try control.facts()
                    bytes += each.description.utf8.count
                    if bytes > Self.listedBytesMax { each.description = "" }
                    facts.append(each)
                } catch {
                    // It may have gone since it was listed.
                    guard error.kind == .noDomain else { throw error }
                }
            }
            return facts
        } catch {
            throw CustodyFailure(error)
        }
    }

    private func find(_ name: String) throws(CustodyFailure) -> DomainFacts {
        guard let connection else { throw Self.notConnected }
        do throws(DomainControlError) {
            let control = try connection.domain(named: name)
            let facts = try control.facts()
            found = control
            return facts
        } catch {
            throw CustodyFailure(error)
        }
    }

    private static let notConnected = CustodyFailure(code: 2, "No libvirt is connected yet.")

    // MARK: - Holding

    private func hold(_ order: HoldOrder) throws(CustodyFailure) -> Bool {
        guard let host, let connection, let found else {
            throw CustodyFailure(code: 2, "No domain was found yet.")
        }
        guard order.stateDirectory.hasPrefix("/") else {
            throw CustodyFailure(code: 2, "The directory of state is not an absolute path.")
        }
        // libvirt would take a job that names no disk for one of all disks.
        guard order.mode != .brief || !order.exports.isEmpty else {
            throw CustodyFailure(code: 2, "A point in time of no disk makes no sense.")
        }
        let link = DomainLink(host: host, connection: connection, control: found, run: order.run)
        let mode = try gate(order, found)
        try expectQuiet(link, mode)
        let session = try begin(order, mode, found, connection)
        let (facts, seenRunning): (DomainFacts, UInt64)
        do throws(CustodyFailure) {
            (facts, seenRunning) = try lookLast(order, link, found, mode)
        } catch {
            try? surroundings.probe.around(.ended(.refused)) { () throws(SystemError) in
                try session.append(.ended(.refused))
            }
            throw error
        }
        let run = HoldRun(
            channel,
            surroundings,
            link,
            surroundings.journal(session),
            named: session.name,
            order,
            mode: mode,
            facts: facts
        )
        let isFrontThere = run.work(seenRunning: seenRunning)
        (self.connection, self.found) = (link.connection, link.control)
        SessionStore(stateDirectory: order.stateDirectory).prune(keeping: Self.sessionsKept)
        return isFrontThere
    }

    /// The domain right before it is held, and when it was seen running.
    private func lookLast(
        _ order: HoldOrder,
        _ link: DomainLink,
        _ found: any DomainControl,
        _ mode: HoldMode
    ) throws(CustodyFailure) -> (DomainFacts, UInt64) {
        try refuse(link.events(), mode)
        let seenRunning = monotonicNanoseconds()
        guard try gate(order, found) == mode else {
            throw CustodyFailure(
                code: 6,
                "Its state has just changed.",
                advice: CustodyMachine.again
            )
        }
        let facts = try asking { () throws(DomainControlError) in
            DomainFacts(
                uuid: found.uuid,
                name: found.name,
                status: try found.status(),
                // One that is suspended is described again afterwards.
                description: mode == .asFound ? try found.description() : ""
            )
        }
        return (facts, seenRunning)
    }

    private func gate(
        _ order: HoldOrder,
        _ found: any DomainControl
    ) throws(CustodyFailure) -> HoldMode {
        let status = try asking { () throws(DomainControlError) in try found.status() }
        switch CustodyGate.decide(status, of: found.uuid, expecting: order.run, mode: order.mode) {
        case .hold(let mode): return mode
        case .refuse(let failure): throw failure
        case .offline:
            throw CustodyFailure(
                code: 6,
                "It was shut off since it was looked at.",
                advice: CustodyMachine.again
            )
        }
    }

    /// Throws where somebody else suspends or resumes it at this moment: libvirt's events do not tell
    /// whose suspend they are about.
    private func expectQuiet(_ link: DomainLink, _ mode: HoldMode) throws(CustodyFailure) {
        guard mode != .asFound else { return }
        _ = link.events()
        let end = deadline(inSeconds: surroundings.times.quiet)
        var ready: [Readiness]? = []
        repeat {
            try refuse(link.events(), mode)
            ready = try? waitForAny(of: [(link.signal, .readable)], deadline: end)
        } while ready?.first?.isEmpty == false && monotonicNanoseconds() < end
    }

    private func refuse(_ told: [DomainEvent], _ mode: HoldMode) throws(CustodyFailure) {
        guard mode == .asFound || !told.contains(where: { $0 == .suspended || $0 == .resumed })
        else {
            throw CustodyFailure(
                code: 6,
                "Somebody else has just suspended or resumed it.",
                advice: CustodyMachine.again
            )
        }
    }

    private func begin(
        _ order: HoldOrder,
        _ mode: HoldMode,
        _ found: any DomainControl,
        _ connection: any DomainConnection
    ) throws(CustodyFailure) -> Session {
        let store = SessionStore(stateDirectory: order.stateDirectory)
        do throws(SessionError) {
            let opening = SessionRecord.Opening(
                session: SessionStore.newName(),
                run: order.run,
                domain: found.name,
                mode: mode,
                bootID: try inSession { () throws(SystemError) in try BootID.current() },
                uri: connection.uri,
                pauseSecondsMax: order.pauseSecondsMax,
                user: order.user,
                program: surroundings.front,
                custodian: .own
            )
            var session: Session?
            surroundings.probe?.reached(CustodyPoint(side: .before, event: "opened"))
            session = try store.begin(opening)
            surroundings.probe?.reached(CustodyPoint(side: .after, event: "opened"))
            guard let session else { throw .noSession(opening.session) }
            return session
        } catch {
            throw CustodyFailure(error)
        }
    }

    private func asking<Value>(
        _ body: () throws(DomainControlError) -> Value
    ) throws(CustodyFailure) -> Value {
        do throws(DomainControlError) { return try body() } catch { throw CustodyFailure(error) }
    }
}

extension CustodyFailure {
    init(_ error: DomainControlError, advice: String = "") {
        let code: UInt8 =
            switch error.kind {
            case .noDomain: 4
            case .usage: 2
            case .unsupported: 5
            case .connectionLost, .wrongState, .failed: 6
            }
        self.init(code: code, "libvirt: \(error.message).", advice: advice)
    }

    init(_ error: SessionError) {
        guard case .held(let entry) = error, case .history(let history) = entry.content else {
            self.init(code: 6, "No session can be begun: \(error).")
            return
        }
        guard entry.isActive else {
            self.init(
                code: 7,
                "Session \(entry.name) of \(history.opening.user) was left behind.",
                advice: "Run glovebox recover."
            )
            return
        }
        var time: [UInt8] = []
        Timestamp(seconds: history.records.first?.seconds ?? 0)
            .appendISO8601(to: &time, decimals: false)
        self.init(
            code: 6,
            "It is held by session \(entry.name) of \(history.opening.user) since "
                + "\(String(decoding: time, as: UTF8.self)).",
            advice: "Wait until that has ended."
        )
    }
}
