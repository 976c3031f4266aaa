internal import ArgumentParser
internal import Casework

struct ApproveShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show what an approval says and whose keys signed it, without judging it.",
        discussion: """
            Examples:
              glovebox approve show case.json
              glovebox approve show --json case.json

            Letters of the scope that are not ASCII are spelled out: they may look like others.
            `glovebox approve check` says whether it counts.
            """
    )

    @Flag(help: "Print JSON; docs/approval.md describes it.")
    var json = false

    @Argument(help: "The approval.")
    var file: String

    func run() throws {
        let report = try ApprovalReport(reading: file)
        var output = StandardOutput()
        if json {
            try output.write(report.json)
        } else {
            try output.write(Message.harmless(report.text))
        }
        try output.flush()
    }
}
