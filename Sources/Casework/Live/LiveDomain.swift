package import Custody
internal import DiskFormats
internal import Linux
internal import NetworkBlock

/// A domain of libvirt as a target: found at once, held when its disks are first needed.
///
/// What is read of it before that is the headers of its images, to know which files they are; after
/// the suspend the description and the files have to be the same.
package final class LiveDomain: Sendable {
    /// How its disks come to be at rest.
    package enum Plan: Equatable, Sendable {
        /// It is off: QEMU's image locks hold them.
        case offline
        case held(HoldMode)
    }

    /// The target, for approval and names.
    package let target: Target
    /// The disks that cannot be read, and why.
    package let refused: [DomainDisks.Refused]
    /// What is to be done; what was done may be another mode.
    package let plan: Plan
    private let options: LiveOptions
    private let client: CustodianClient
    private let facts: DomainFacts
    private let description: DomainDescription
    private let disks: DomainDisks
    private let attaching: AttachOptions
    private let state = Monitor(State())

    private struct State: Sendable {
        /// What each disk was found to be before the hold, or why it was not found.
        var before: [String: Result<ChainIdentity, GloveboxError>] = [:]
        var isHolding = false
        var held: Result<HeldDomain, GloveboxError>?
        var isReleased = false
    }

    /// Finds the domain `name`: its uuid, id or name, with or without `domain:` before it.
    package init(
        _ name: String,
        options: LiveOptions,
        attaching: AttachOptions
    ) throws(GloveboxError) {
        guard attaching.format == nil else {
            throw GloveboxError(
                .usage,
                "The formats of a domain's disks are those of its description.",
                advice: "Leave --format out."
            )
        }
        let prefix = Target.domainPrefix
        let wanted = name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
        guard !wanted.isEmpty, wanted.utf8.count <= 1_024 else {
            throw GloveboxError(
                .usage,
                "Which domain?",
                advice: "Give domain:NAME, domain:ID or domain:UUID."
            )
        }
        let client = try CustodianClient(uri: options.connectURI, starting: options.starting)
        let facts = try client.find(wanted)
        let description = try DomainDescription(xml: facts.description)
        guard description.uuid == facts.uuid,
            description.id.map(Int64.init) == facts.status.id.map(Int64.init)
        else {
            throw GloveboxError(
                .wrongState,
                "The domain changed while it was looked at.",
                advice: "Run the command again."
            )
        }
        plan = try Self.plan(facts, options)
        disks = DomainDisks(description)
        refused = disks.refused
        target = try Self.target(name, description, disks)
        self.options = options
        self.client = client
        self.facts = facts
        self.description = description
        self.attaching = attaching
        if plan == .offline { client.end() }
    }

    deinit { client.end() }

    private static func plan(
        _ facts: DomainFacts,
        _ options: LiveOptions
    ) throws(GloveboxError) -> Plan {
        let mode: HoldMode = options.pauseMode == .brief ? .brief : .strict
        switch CustodyGate.decide(facts.status, of: facts.uuid, expecting: nil, mode: mode) {
        case .offline: return .offline
        case .refuse(let failure):
            let error = GloveboxError(failure)
            throw GloveboxError(
                error.kind,
                "\(HoldText.plain(facts.name)) cannot be read now. \(error.message)",
                advice: error.advice
            )
        case .hold(let mode):
            guard options.starting.mayHold else {
                throw GloveboxError(
                    .refused,
                    "\(HoldText.plain(facts.name)) runs, and only root holds an instance.",
                    advice: "Run the command as root, or shut the instance off."
                )
            }
            return .held(mode)
        }
    }

    private static func target(
        _ name: String,
        _ description: DomainDescription,
        _ disks: DomainDisks
    ) throws(GloveboxError) -> Target {
        guard !disks.readable.isEmpty else {
            if let refused = disks.refused.first(where: { $0.reason != .empty }) {
                throw refused.error
            }
            throw GloveboxError(.notFound, "\(HoldText.plain(description.name)) has no disk.")
        }
        return Target(
            name,
            Target.Domain(uuid: description.uuid, isNovas: description.nova != nil),
            disks: disks.readable.map {
                Target.DiskFile(name: $0.name, path: $0.path, chain: $0.chain)
            }
        )
    }

    /// How what is read belongs together; as planned, where it is not held yet.
    package var consistency: Consistency {
        if let hold { return hold.consistency }
        return switch plan {
        case .offline: .offline
        case .held(.strict): .suspended
        case .held(.brief): .pointInTime
        case .held(.asFound): .asFoundPaused
        }
    }

    /// The hold; nil where it has not begun, or never will.
    package var hold: Hold? {
        state.update { if case .success(let held)? = $0.held { held.hold } else { nil } }
    }

    /// What a user ought to know of its disks, a sentence each.
    package var warnings: [String] {
        let caveats = disks.readable.flatMap(\.caveats)
        let unread = refused.filter { $0.reason != .empty }.map { "\($0.message) \($0.advice)" }
        return (caveats + unread).map(HoldText.plain)
    }

    /// Looks which files its disks are, without reading more than the headers of their images.
    ///
    /// What they are found to be when it is held has to be the same.
    package func look() {
        guard plan != .offline else { return }
        for disk in target.disks {
            let found: Result<ChainIdentity, GloveboxError>
            do throws(GloveboxError) { found = .success(ChainIdentity(try open(disk))) } catch {
                found = .failure(error)
            }
            state.update { $0.before[disk.name] = found }
        }
    }

    /// The disk, held; the domain is held from the first of them on.
    package func image(
        _ disk: Target.DiskFile,
        warnings: inout [String]
    ) throws(GloveboxError) -> AttachedDisk {
        guard plan != .offline else { return try open(disk, locking: .hold, &warnings) }
        let held = try begin()
        guard let image = held.images[disk.name] else {
            throw GloveboxError(.notFound, "\(target.path) has no disk \(disk.name).")
        }
        return try image.get()
    }

    /// Tells that file systems are read from now on.
    package func mounting() throws(GloveboxError) { try hold?.mounted() }

    /// Lets go of the domain and says what became of it; nil where it was never held.
    ///
    /// It is not held anew after that.
    @discardableResult
    package func release() -> HoldReport? {
        let hold = state.wait { state -> Hold?? in
            // A hold that is just beginning is waited for, so that it is not left.
            if state.isHolding, state.held == nil { return nil }
            state.isReleased = true
            if case .success(let held)? = state.held { return .some(held.hold) }
            return .some(nil)
        }
        guard let hold else {
            client.end()
            return nil
        }
        return hold.release()
    }

    private func begin() throws(GloveboxError) -> HeldDomain {
        let known = state.wait { state -> Result<HeldDomain, GloveboxError>?? in
            if let held = state.held { return .some(held) }
            if state.isReleased { return .some(.failure(Self.over)) }
            if state.isHolding { return nil }
            state.isHolding = true
            return .some(nil)
        }
        if let known { return try known.get() }
        let result: Result<HeldDomain, GloveboxError>
        do throws(GloveboxError) { result = .success(try holdNow()) } catch {
            result = .failure(error)
        }
        state.update { $0.held = result }
        return try result.get()
    }

    private static let over = GloveboxError(
        .wrongState,
        "The instance was let go of already.",
        advice: "Run the command again."
    )
}

/// A domain that is held, with its disks.
private struct HeldDomain: Sendable {
    let hold: Hold
    let images: [String: Result<AttachedDisk, GloveboxError>]
}

extension LiveDomain {
    private func holdNow() throws(GloveboxError) -> HeldDomain {
        guard case .held(let mode) = plan, let run = facts.run else { throw Self.over }
        let hold = try hold(run, mode)
        do throws(GloveboxError) {
            guard try DomainDescription(xml: hold.facts.description) == description else {
                throw Self.changed("its description changed")
            }
            for warning in hold.warnings { options.warn(warning) }
            try hold.connected()
            var images: [String: Result<AttachedDisk, GloveboxError>] = [:]
            for disk in target.disks { images[disk.name] = try image(disk, of: hold) }
            return HeldDomain(hold: hold, images: images)
        } catch {
            let report = hold.release()
            if let problem = report.problem, problem.kind == .held { throw problem }
            throw error
        }
    }

    private static func changed(_ what: String) -> GloveboxError {
        GloveboxError(
            .wrongState,
            "Between the first look and the suspend \(what), so nothing was read.",
            advice: "Run the command again."
        )
    }

    /// Holds it as planned, or strictly where a point in time cannot be had.
    private func hold(_ run: DomainRun, _ mode: HoldMode) throws(GloveboxError) -> Hold {
        var order = HoldOrder(
            run: run,
            mode: mode,
            pauseSecondsMax: options.secondsMax,
            stateDirectory: try stateDirectory(),
            user: AuditCaller().shortName
        )
        guard mode == .brief else { return try client.hold(order) }
        order.exports = readableBefore.map { target, identity in
            let size = identity.layers.first?.virtualSize ?? 0
            return HoldOrder.Export(target: target, byteCount: (size + 511) / 512 * 512)
        }
        order.otherTargets = description.disks.map(\.target).filter { target in
            !order.exports.contains { $0.target == target }
        }
        order.owner = description.owner.map { .init(user: $0.userID, group: $0.groupID) }
        do throws(GloveboxError) { return try client.hold(order) } catch {
            guard error.kind == .unreadable else { throw error }
            options.warn(
                "A point in time cannot be had, so the instance stays suspended while it is read: "
                    + error.message
            )
        }
        // The custodian has ended with its hold; another one begins anew, on the same run.
        self.client.end()
        let client = try CustodianClient(uri: options.connectURI, starting: options.starting)
        let found = try client.find(facts.uuid)
        guard found.run == run else { throw Self.changed("it was restarted") }
        order.mode = .strict
        (order.exports, order.otherTargets, order.owner) = ([], [], nil)
        return try client.hold(order)
    }

    /// The disks that could be looked at, by their targets.
    private var readableBefore: [(String, ChainIdentity)] {
        let before = state.update { $0.before }
        return disks.readable.compactMap { disk in
            guard case .success(let identity)? = before[disk.name] else { return nil }
            return (disk.target, identity)
        }
    }

    private func stateDirectory() throws(GloveboxError) -> String {
        if let chosen = options.stateDirectory { return chosen }
        do throws(SystemError) { return try Installation.current().systemStateDirectory } catch {
            throw GloveboxError(.unreadable, "\(error).")
        }
    }

    /// The disk of the held domain; a failure is the disk's own, unless files have changed.
    private func image(
        _ disk: Target.DiskFile,
        of hold: Hold
    ) throws(GloveboxError) -> Result<AttachedDisk, GloveboxError> {
        let before = state.update { $0.before[disk.name] } ?? .failure(Self.over)
        let identity: ChainIdentity
        switch before {
        case .success(let found): identity = found
        case .failure(let error): return .failure(error)
        }
        let image: AttachedDisk
        do throws(GloveboxError) { image = try open(disk) } catch { return .failure(error) }
        guard ChainIdentity(image) == identity else {
            throw Self.changed("the files of \(HoldText.plain(disk.name)) changed")
        }
        guard hold.mode == .brief else { return .success(image.held(by: hold, name: disk.name)) }
        do throws(GloveboxError) {
            let source = try export(of: disk, hold, byteCount: image.source.byteCount)
            return .success(image.held(by: hold, source: source, name: disk.name))
        } catch {
            return .failure(error)
        }
    }

    /// The server of the point in time of a disk.
    private func export(
        of disk: Target.DiskFile,
        _ hold: Hold,
        byteCount: UInt64
    ) throws(GloveboxError) -> NetworkBlockSource {
        let target = disks.readable.first { $0.name == disk.name }?.target
        guard let export = hold.exports.first(where: { $0.target == target }) else {
            throw GloveboxError(.unreadable, "libvirt exports no point in time of \(disk.name).")
        }
        let options = NetworkBlockSource.Options(
            expectedByteCount: (byteCount + 511) / 512 * 512
        )
        return try reading(disk.name) { () throws(DiskError) in
            try NetworkBlockSource(
                socket: export.socket,
                export: export.target,
                name: "disk \(disk.name)",
                options: options
            )
        }
    }

    private func open(_ disk: Target.DiskFile) throws(GloveboxError) -> AttachedDisk {
        var warnings: [String] = []
        return try open(disk, locking: .none, &warnings)
    }

    private func open(
        _ disk: Target.DiskFile,
        locking: AttachOptions.Locking,
        _ warnings: inout [String]
    ) throws(GloveboxError) -> AttachedDisk {
        var options = attaching
        options.chain = disk.chain
        options.locking = locking
        do throws(AttachError) {
            return try attach(disk.path, options: options, warnings: &warnings)
        } catch {
            throw GloveboxError(error)
        }
    }
}
