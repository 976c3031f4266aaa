internal import ArgumentParser
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
            json: json,
            verbose: verbose
        )
    }

    /// Opens the target for `body`, and says what the user has to know about it.
    func withInstance<Result>(at target: String, _ body: (Instance) throws -> Result) throws
        -> Result
    {
        try settings.withInstance(at: target, body)
    }
}
