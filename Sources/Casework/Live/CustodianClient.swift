package import Custody
internal import DiskFormats
internal import Linux

/// Asks a custodian for domains and for holding one of them.
///
/// One value holds one domain, once. Blocks the calling thread; the waits are bounded. When the value
/// is gone, the custodian lets go of what is held and ends.
package final class CustodianClient: Sendable {
    /// How long the custodian may take, in seconds.
    package struct Patience: Sendable {
        /// libvirt's first answer, which a busy host gives late.
        package var connect = 40.0
        /// Lists and single domains.
        package var find = 60.0
        /// Suspending, and a backup job's beginning.
        package var hold = 90.0
        package var step = 15.0
        /// Resuming; libvirt may have to be reached anew for that.
        package var release = 40.0
        package var recover = 60.0

        package init() {}
    }

    /// The URI of libvirt that is in use.
    package let uri: String
    /// Versions of libvirt and the hypervisor, for the record.
    package let versions: String
    private let link: CustodianLink
    private let starting: any CustodianStarting
    private let requestedURI: String?
    private let patience: Patience

    /// Starts a custodian, which connects to libvirt at `uri`, or where its own default is.
    package init(
        uri: String?,
        starting: any CustodianStarting,
        patience: Patience = Patience()
    ) throws(GloveboxError) {
        let link = CustodianLink(try starting.start())
        self.link = link
        self.starting = starting
        self.patience = patience
        requestedURI = uri
        do throws(GloveboxError) {
            let answer = try Self.ask(link, .connect(uri: uri), seconds: patience.connect)
            guard case .connected(let uri, let versions) = answer else { throw Self.nonsense }
            self.uri = HoldText.plain(uri)
            self.versions = HoldText.plain(versions)
        } catch {
            link.end()
            throw error
        }
    }

    deinit { link.end() }

    /// All domains.
    package func list() throws(GloveboxError) -> [DomainFacts] {
        guard case .domains(let domains) = try ask(.list, patience.find) else { throw nonsense() }
        return domains
    }

    /// The domain of that uuid, id or name.
    package func find(_ name: String) throws(GloveboxError) -> DomainFacts {
        guard case .domain(let facts) = try ask(.find(name), patience.find) else {
            throw nonsense()
        }
        return facts
    }

    /// Holds the domain that was found last.
    package func hold(_ order: HoldOrder) throws(GloveboxError) -> Hold {
        let recovery: CustodianLink.Recovery = { [starting, requestedURI, patience] session in
            Self.takeOver(order, session, starting, requestedURI, patience)
        }
        switch link.askForHold(order, seconds: patience.hold, recovery: recovery) {
        case .answer(.held(let held)):
            guard held.facts.uuid == order.run.uuid, held.facts.run == order.run else {
                link.end()
                throw GloveboxError(
                    .wrongState,
                    "The custodian held another instance, or another run of it, than was asked for.",
                    advice: "It lets go of it by itself; run the command again."
                )
            }
            return Hold(held, order, link, of: self, patience)
        case .answer(.failed(let failure)): throw GloveboxError(failure)
        case .answer, .invalidated: throw nonsense()
        case .gone(let fault) where !link.mayHold: throw Self.gone(fault, nil)
        case .gone(let fault):
            let seconds = patience.connect + 2 * patience.recover
            throw Self.gone(fault, link.remains(seconds: seconds) ?? .unknown)
        case .timedOut:
            link.end()
            throw GloveboxError(
                .held,
                "The custodian gave no answer for \(Int(patience.hold)) s, and the instance may be "
                    + "suspended. It goes on by itself as soon as libvirt answers.",
                advice: "`glovebox recover` shows whether it has."
            )
        }
    }

    /// Takes over what was left behind in `stateDirectory`: all sessions, or the one of that name.
    package func recover(
        stateDirectory: String,
        session: String? = nil
    ) throws(GloveboxError) -> [RecoveredSession] {
        let request = CustodyRequest.recover(stateDirectory: stateDirectory, session: session)
        guard case .recovered(let sessions) = try ask(request, patience.recover) else {
            throw nonsense()
        }
        return sessions
    }

    /// Ends the conversation and lets go of what is held, without waiting for that.
    package func end() { link.end() }

    private func ask(
        _ request: CustodyRequest,
        _ seconds: Double
    ) throws(GloveboxError) -> CustodyReport {
        try Self.ask(link, request, seconds: seconds)
    }

    private static func ask(
        _ link: CustodianLink,
        _ request: CustodyRequest,
        seconds: Double
    ) throws(GloveboxError) -> CustodyReport {
        switch link.ask(request, seconds: seconds) {
        case .answer(.failed(let failure)): throw GloveboxError(failure)
        case .answer(let report): return report
        case .gone(let fault): throw gone(fault, nil)
        case .invalidated: throw nonsense
        case .timedOut:
            link.end()
            throw GloveboxError(
                .wrongState,
                "The custodian, which speaks to libvirt, gave no answer for \(Int(seconds)) s.",
                advice: "Look whether libvirt answers: virsh list."
            )
        }
    }

    private static let nonsense = GloveboxError(
        .wrongState,
        "The custodian, which speaks to libvirt, answered what was not asked.",
        advice: "Make sure that glovebox and glovebox-engine are of one version."
    )

    /// What is not understood is not gone on with.
    private func nonsense() -> GloveboxError {
        link.end()
        return Self.nonsense
    }

    private static func gone(_ fault: String, _ remains: HoldRemains?) -> GloveboxError {
        let what = "The custodian, which speaks to libvirt, is of no more use: \(fault)."
        switch remains {
        case nil:
            return GloveboxError(
                .wrongState,
                what,
                advice:
                    "Run the command again; glovebox and glovebox-engine have to be of one version."
            )
        case .released?, .recovered?:
            return GloveboxError(
                .wrongState,
                "\(what) Nothing is held any more.",
                advice: "Run the command again."
            )
        case .held(let why)?: return GloveboxError(.held, "\(what) \(why)", advice: recoverAdvice)
        case .unknown?:
            return GloveboxError(
                .held,
                "\(what) Whether the instance runs is not known.",
                advice: recoverAdvice
            )
        }
    }

    static let recoverAdvice = "Run `glovebox recover`."

    /// Has another custodian take over what one has left that is no more.
    private static func takeOver(
        _ order: HoldOrder,
        _ session: String?,
        _ starting: any CustodianStarting,
        _ uri: String?,
        _ patience: Patience
    ) -> HoldRemains {
        let sessions: [RecoveredSession]
        do throws(GloveboxError) {
            let client = try CustodianClient(uri: uri, starting: starting, patience: patience)
            sessions = try client.recover(stateDirectory: order.stateDirectory, session: session)
            client.end()
        } catch {
            return .held("The instance could not be taken over: \(error.message)")
        }
        let own = sessions.filter { $0.uuid == order.run.uuid }
        if let bad = own.first(where: { $0.outcome != .recovered }) {
            return .held(HoldText.sentence(bad.detail))
        }
        if let found = own.first { return .recovered(found) }
        // Nothing of ours was left: it had been let go of, or never begun.
        guard session == nil else {
            return .held("Its session was not found among those that were left behind.")
        }
        return .recovered(
            RecoveredSession(
                session: "",
                uuid: order.run.uuid,
                domain: "",
                outcome: .recovered,
                detail: ""
            )
        )
    }
}

extension GloveboxError {
    /// Why a custodian did not do what it was asked for.
    init(_ failure: CustodyFailure) {
        let kind: Kind =
            switch failure.code {
            case 2: .usage
            case 3: .refused
            case 4: .notFound
            case 6: .wrongState
            case CustodyFailure.stillHeld: .held
            default: .unreadable
            }
        self.init(
            kind,
            HoldText.sentence(failure.message),
            advice: failure.advice.isEmpty ? "" : HoldText.sentence(failure.advice)
        )
    }
}
