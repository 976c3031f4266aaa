internal import ArgumentParser
internal import Casework
internal import Checkers
internal import Glovebox

struct FsckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fsck",
        abstract: "Check the file systems, each by its own checker; the image is not changed.",
        discussion: """
            Examples:
              glovebox fsck /var/lib/nova/instances/UUID
              glovebox fsck --rehearse disk.qcow2 disk.qcow2:p1
              glovebox fsck --json /var/lib/nova/instances/UUID disk
              glovebox fsck --key-file FILE disk.qcow2 disk.qcow2:p2.luks

            A journal is replayed first, into a layer that is thrown away, so that a volume which \
            was only not shut down is never called damaged. --rehearse also tries the repair on \
            such a layer, and says what it would do.

            Volumes within others are checked, too (disk:vg/root, disk:md127, disk:p2.luks); \
            what they lie in says "checked as" and their names. Encrypted volumes need --key-file, \
            or their name and somebody at the terminal.

            Verdicts: clean · clean-after-replay · damaged · too-new (for this checker) · \
            not-checkable. Exit codes: 0 all clean · 1 something is damaged · 5 something could \
            not be checked. Swap space, empty volumes and discs such as the config drive count \
            only where they are named.
            """
    )

    @OptionGroup var options: TargetOptions

    @Flag(help: "Try the repair of what is damaged on a throw-away layer, and say what it does.")
    var rehearse = false

    @Argument(help: "Image file, instance directory, or domain:NAME (ID, UUID).")
    var target: String

    @Argument(help: "Volumes (disk:p1, disk:vg/root) or disks (disk) to check; all without it.")
    var volumes: [String] = []

    func run() throws {
        guard !options.noReplay else {
            throw GloveboxError(
                .usage,
                "fsck always replays a journal, into a layer that is thrown away.",
                advice: "Leave --no-replay out."
            )
        }
        let (reports, consistency) = try options.withInstance(at: target, for: .check) {
            (try check($0), $0.consistency)
        }
        var output = StandardOutput()
        if options.json {
            try output.write(
                FsckReport.json(target: target, consistency: consistency, reports)
            )
        } else {
            for report in reports {
                let text = FsckReport.text(report, verbose: options.verbose)
                try output.write(Message.harmless(text))
            }
        }
        try output.flush()
        try FsckReport.end(FsckReport.sum(reports, named: !volumes.isEmpty))
    }

    private func check(_ instance: Instance) throws -> [CheckReport] {
        try instance.check(volumes, rehearse: rehearse) { disks throws(GloveboxError) in
            try EngineChecking(instance, disks)
        }
    }
}
