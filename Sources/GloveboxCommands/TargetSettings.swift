internal import Casework
internal import DiskFormats
internal import Glovebox
internal import Linux

/// How a target is opened and what is said about it.
struct TargetSettings: Equatable {
    /// Format of the image, where nothing records it.
    var format: String?
    /// More directories that backing files may be in.
    var allowBacking: [String] = []
    /// Leave a dirty journal as it is.
    var noReplay = false
    /// Which reader opens file systems.
    var engine = EngineChoice.auto
    /// Where glovebox-engine is; nil where it is to be found.
    var enginePath: String?
    /// Files with passphrases for encrypted volumes.
    var keyFiles: [String] = []
    /// The approval document.
    var approval: String?
    /// Why a target is read that needs no approval.
    var reason: String?
    /// libvirt's URI; nil for its own default.
    var connect: String?
    /// How an instance that runs is held.
    var pause = PauseMode.strict
    /// The longest time that it may be suspended, in seconds.
    var maxPause: UInt32 = 120
    /// The pause that is accepted where the appliance is needed.
    var acceptPause: UInt32?
    /// Where the audit log is; nil for the program's own place.
    var stateDirectory: String?
    /// Print JSON.
    var json = false
    /// Say how the disks were opened.
    var verbose = false

    /// Opens the target for `purpose`, once that is in the audit log; says what the user has to know about
    /// it when all is done, also where it fails: a warning may be what explains the error.
    func withInstance<Result>(
        at target: String,
        for purpose: Purpose,
        _ body: (Instance) throws -> Result
    ) throws -> Result {
        try withRecordedInstance(at: target, for: purpose) { instance, _ in try body(instance) }
    }

    /// The same; `body` also gets the line of the audit log, or nil where none could be written, which
    /// only a loose image is opened without.
    ///
    /// An instance that is held is let go of in every case, also where somebody interrupts; `guardian`
    /// sees to that where the caller takes care of interruptions. What was read of one that was not
    /// held to the end is an error, unless `tellsOfHold`: then the result itself says so.
    func withRecordedInstance<Result>(
        at target: String,
        for purpose: Purpose,
        guardedBy guardian: HeldInstance? = nil,
        tellsOfHold: Bool = false,
        _ body: (Instance, AuditRecord?) throws -> Result
    ) throws -> Result {
        if let shared = HoldScope.instance { return try use(shared, for: purpose, body) }
        let guardian = guardian ?? HeldInstance(interruptible: target)
        let instance = try open(target, for: purpose)
        guardian.take(instance)
        defer { guardian.take(nil) }
        let record = try AuditTrail(stateDirectory: stateDirectory).recordReading(of: instance)
        defer { report(on: instance) }
        let result: Result
        do { result = try body(instance, record) } catch {
            throw HeldInstance.error(error, after: instance.release())
        }
        let release = instance.release()
        if let problem = release?.problem, !tellsOfHold { throw problem }
        return result
    }

    /// Does what is to be done with an instance that others use as well: it stays held.
    private func use<Result>(
        _ instance: Instance,
        for purpose: Purpose,
        _ body: (Instance, AuditRecord?) throws -> Result
    ) throws -> Result {
        try instance.require(purpose)
        let record = try AuditTrail(stateDirectory: stateDirectory).recordReading(of: instance)
        let result = try body(instance, record)
        try instance.hold?.check()
        return result
    }

    private func open(_ target: String, for purpose: Purpose) throws -> Instance {
        var options = Instance.Options(allowedBackingDirectories: allowBacking)
        options.journal = noReplay ? .ignore : .replay
        options.format = try ImageFormat.named(format)
        options.approval = approval
        options.reason = reason
        options.connectURI = connect
        options.pauseMode = pause
        options.pauseSecondsMax = maxPause
        options.acceptPauseSeconds = acceptPause
        options.onWarning = { Message.warn($0) }
        options.enginePath = enginePath
        options.engine = engine
        options.engineSetup = try EngineSettings(
            path: enginePath,
            keyFiles: keyFiles,
            isAsked: engine == .guestfs
        ).setup()
        return try Instance(at: target, for: purpose, options: options)
    }

    /// Says what came up while the volumes that a command used were opened.
    private func report(on instance: Instance) {
        for warning in instance.warningsOfDomain { Message.warn(warning) }
        if let release = instance.hold == nil ? nil : instance.release() { describe(release) }
        for (disk, warning) in instance.warningsOfUnusableDisks {
            Message.warn("\(disk): \(warning)")
        }
        for disk in instance.attachedDisks {
            for warning in disk.image.warnings { Message.warn("\(disk.name): \(warning)") }
            for problem in disk.table.problems { Message.warn("\(disk.name): \(problem)") }
            if verbose { describe(disk) }
            for volume in disk.volumes { describe(volume) }
        }
        for volume in instance.engine?.knownInnerVolumes ?? [] { describe(volume) }
    }

    private func describe(_ release: HoldReport) {
        for warning in release.warnings { Message.warn(warning) }
        guard verbose || release.pausedMilliseconds ?? 0 > 0 else { return }
        let pause = release.pausedMilliseconds.map { "paused for \($0) ms" } ?? "paused"
        Message.say(
            "glovebox: the instance was \(pause) (\(release.consistency.rawValue), "
                + "session \(release.session))"
        )
    }

    private func describe(_ volume: Volume) {
        guard let summary = volume.openedFileSystem?.summary else { return }
        for problem in summary.problems { Message.warn("\(volume.name): \(problem)") }
        if verbose, let reader = volume.openedBy {
            Message.say("glovebox: \(volume.name): \(summary.type), read by \(reader.rawValue)")
        }
        describe(summary.journal, of: volume)
    }

    private func describe(_ disk: Disk) {
        for (index, layer) in disk.image.layers.enumerated() {
            let size = humanSize(layer.virtualSize)
            Message.say(
                "glovebox: \(disk.name): layer \(index): \(layer.path) (\(layer.format), \(size))"
            )
        }
    }

    private func describe(_ journal: FileSystemSummary.JournalState, of volume: Volume) {
        switch journal {
        case .clean:
            break
        case .replayed(let transactions, let blocks):
            guard verbose else { return }
            Message.say(
                "glovebox: \(volume.name): journal replayed in memory "
                    + "(\(transactions) transactions, \(blocks) blocks)"
            )
        case .replayedByKernel:
            guard verbose else { return }
            Message.say(
                "glovebox: \(volume.name): journal replayed by the appliance, into a throw-away layer"
            )
        case .ignored:
            Message.warn("\(volume.name): the journal was not replayed; files may be out of date.")
        }
    }
}

extension ImageFormat {
    /// The format that an option names; nil where none was given.
    static func named(_ text: String?) throws(GloveboxError) -> ImageFormat? {
        guard let text else { return nil }
        guard let known = ImageFormat(rawValue: text) else {
            throw GloveboxError(
                .usage,
                "\(text) is not a format that is read natively.",
                advice: "Use --format raw or --format qcow2."
            )
        }
        return known
    }
}
