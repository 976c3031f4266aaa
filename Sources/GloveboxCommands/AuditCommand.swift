internal import ArgumentParser
internal import Casework
internal import DiskFormats
internal import Linux

struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Show or verify the log of who read what.",
        discussion: """
            Examples:
              glovebox audit -n 50
              glovebox audit --since 2026-01-31 --json
              glovebox audit --verify --anchor CASE.tar --anchor 20412:9f86d081…

            --verify checks that each line follows from the one before it. A log that was cut at its \
            end or written anew fits together as well: only an anchor shows that, a line that was \
            noted elsewhere, by an evidence bag or in syslog (`audit seq=… sha256=…`).

            Exit codes: 0 sound · 1 something is wrong, it says what and where · 5 not readable.
            """
    )

    @Flag(help: "Check the chain of the log, and that it holds the anchors.")
    var verify = false

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "With --verify: evidence bags, or lines as SEQ:SHA256, that the log must hold.",
            valueName: "bag|seq:sha256"
        )
    )
    var anchor: [String] = []

    @Flag(help: "Begin a new file that continues the log; the old one is kept beside it.")
    var rotate = false

    @Option(
        name: .short,
        help: ArgumentHelp("Show so many lines, the last ones.", valueName: "count")
    )
    var number = 20

    @Option(help: ArgumentHelp("Show all lines from this time on.", valueName: "time"))
    var since: String?

    @Option(
        help: ArgumentHelp("Where the log is, if not at the program's own place.", valueName: "dir")
    )
    var stateDir: String?

    @Flag(help: "Print JSON; docs/audit.md describes it.")
    var json = false

    func validate() throws {
        guard anchor.isEmpty || verify else {
            throw ValidationError("--anchor needs --verify.")
        }
        guard !(verify && rotate) else {
            throw ValidationError("Give either --verify or --rotate.")
        }
        guard 0...1_000_000 ~= number else {
            throw ValidationError("-n takes a number up to 1000000.")
        }
    }

    func run() throws {
        let log = try AuditTrail(stateDirectory: stateDir).log()
        if rotate {
            var output = StandardOutput()
            try output.line("\(log.directory)/\(try log.rotate())")
            try output.flush()
        } else if verify {
            try check(log.directory)
        } else {
            try show(log)
        }
    }

    private func check(_ directory: String) throws {
        var anchors: [AuditAnchor] = []
        for text in anchor { anchors.append(try AuditAnchor(text)) }
        let found = try AuditVerification(of: directory, anchors: anchors)
        let report = AuditReport(verification: found, directory: directory)
        var output = StandardOutput()
        try output.write(json ? report.json : Message.harmless(report.text))
        try output.flush()
        guard found.isSound else { throw ExitCode(1) }
    }

    private func show(_ log: AuditLog) throws {
        let start = try since.map { try Timestamp(argument: $0) }
        var output = StandardOutput()
        if !json { try output.write(AuditRow.heading) }
        // What comes before a line that is none is shown all the same.
        let shown = Result {
            try log.read(last: number, since: start) { bytes, value in
                let text =
                    json ? String(decoding: bytes, as: UTF8.self) + "\n" : AuditRow(value).text
                try output.write(Message.harmless(text))
            }
        }
        try output.flush()
        try shown.get()
    }
}
