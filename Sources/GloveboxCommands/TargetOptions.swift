internal import ArgumentParser
internal import Casework
internal import Glovebox

/// What every command that opens a target takes.
struct TargetOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Format of the image (raw or qcow2), where no disk.info records it.",
            valueName: "format"
        )
    )
    var format: String?

    @Option(
        name: .customLong("allow-backing"),
        help: ArgumentHelp(
            "Also allow backing files in this directory; may be repeated.",
            discussion: "Allowed without it: the image's own directory and the _base beside it.",
            valueName: "dir"
        )
    )
    var allowBacking: [String] = []

    @Flag(help: "Show the state as it stands on the disk, without replaying a dirty journal.")
    var noReplay = false

    @Option(
        help: ArgumentHelp(
            "Which reader opens file systems: native, guestfs, or auto.",
            discussion: "auto takes the native one where it knows all that a volume uses, and else "
                + "starts the appliance of libguestfs, which takes from seconds to a minute.",
            valueName: "reader"
        )
    )
    var engine = ReaderName.auto

    @Option(
        help: ArgumentHelp(
            "Where glovebox-engine is, if not beside this program.",
            valueName: "file"
        )
    )
    var enginePath: String?

    @Option(
        help: ArgumentHelp(
            "Unlock encrypted volumes (LUKS) with the passphrase in this file; may be repeated.",
            discussion: "The whole file counts, but for a newline at its end; - is standard input. "
                + "Without it, a terminal is asked when a path names what such a volume holds.",
            valueName: "file"
        )
    )
    var keyFile: [String] = []

    @Option(
        help: ArgumentHelp(
            "The approval by which the target is read; its signatures lie beside it.",
            discussion: "`glovebox approve request` makes one; docs/approval.md tells more.",
            valueName: "file"
        )
    )
    var approval: String?

    @Option(
        help: ArgumentHelp(
            "Why the target is read, for the record, where no approval says it.",
            valueName: "text"
        )
    )
    var reason: String?

    @Option(
        help: ArgumentHelp(
            "libvirt's URI, for a target domain:NAME, if not its usual one.",
            valueName: "uri"
        )
    )
    var connect: String?

    @Option(
        help: ArgumentHelp(
            "How an instance that runs is held: strict or brief.",
            discussion:
                "strict keeps it suspended for as long as it is read. brief suspends it for a "
                + "moment, and reads its disks as they were then, by a backup job of libvirt's.",
            valueName: "mode"
        )
    )
    var pause = PauseName.strict

    @Option(
        help: ArgumentHelp(
            "The longest time that an instance may be suspended.",
            valueName: "seconds"
        )
    )
    var maxPause: UInt32 = 120

    @Option(
        help: ArgumentHelp(
            "Keep an instance suspended for up to this long where the appliance is needed.",
            valueName: "seconds"
        )
    )
    var acceptPause: UInt32?

    @Option(
        help: ArgumentHelp(
            "Where the audit log is kept, if not at the program's own place.",
            discussion: "That is /var/lib/glovebox for root, ~/.local/state/glovebox for others.",
            valueName: "dir"
        )
    )
    var stateDir: String?

    @Flag(help: "Print JSON; docs/json.md describes it.")
    var json = false

    @Flag(name: .shortAndLong, help: "Say on standard error how the disks were opened.")
    var verbose = false

    /// The same without the parser.
    var settings: TargetSettings {
        TargetSettings(
            format: format,
            allowBacking: allowBacking,
            noReplay: noReplay,
            engine: engine.choice,
            enginePath: enginePath,
            keyFiles: keyFile,
            approval: approval,
            reason: reason,
            connect: connect,
            pause: pause.mode,
            maxPause: maxPause,
            acceptPause: acceptPause,
            stateDirectory: stateDir,
            json: json,
            verbose: verbose
        )
    }

    /// Opens the target for `purpose`, and says what the user has to know about it.
    func withInstance<Result>(
        at target: String,
        for purpose: Purpose,
        _ body: (Instance) throws -> Result
    ) throws -> Result {
        try settings.withInstance(at: target, for: purpose, body)
    }

    /// The same, with the line of the audit log that says so; ``TargetSettings`` tells of the rest.
    func withRecordedInstance<Result>(
        at target: String,
        for purpose: Purpose,
        guardedBy guardian: HeldInstance? = nil,
        tellsOfHold: Bool = false,
        _ body: (Instance, AuditRecord?) throws -> Result
    ) throws -> Result {
        try settings.withRecordedInstance(
            at: target,
            for: purpose,
            guardedBy: guardian,
            tellsOfHold: tellsOfHold,
            body
        )
    }

    func validate() throws {
        guard maxPause > 0, acceptPause != 0 else {
            throw ValidationError("A pause of 0 seconds is none: give at least 1.")
        }
        guard maxPause <= Self.pauseSecondsMax, acceptPause ?? 1 <= Self.pauseSecondsMax else {
            throw ValidationError("No instance is suspended for more than a day.")
        }
    }

    private static let pauseSecondsMax: UInt32 = 86_400
}

/// ``PauseMode`` as the command line has it.
enum PauseName: String, ExpressibleByArgument, CaseIterable {
    case strict
    case brief

    var mode: PauseMode {
        switch self {
        case .strict: .strict
        case .brief: .brief
        }
    }
}

/// ``EngineChoice`` as the command line has it.
enum ReaderName: String, ExpressibleByArgument, CaseIterable {
    case native
    case guestfs
    case auto

    var choice: EngineChoice {
        switch self {
        case .native: .native
        case .guestfs: .guestfs
        case .auto: .auto
        }
    }
}
