internal import ArgumentParser
internal import Casework
internal import DiskFormats
internal import Glovebox

struct DisksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disks",
        abstract: "Show the disks, their backing files, partitions and file systems.",
        discussion: """
            Examples:
              glovebox disks /var/lib/nova/instances/UUID
              glovebox disks --json disk.qcow2
            """
    )

    @OptionGroup var options: TargetOptions

    @Argument(help: "Image file, instance directory, or domain:NAME (ID, UUID).")
    var target: String

    /// What the arguments ask for.
    var job: DisksJob { DisksJob(settings: options.settings, target: target) }

    func run() throws { try job.run() }
}

/// Shows the disks of an instance.
struct DisksJob: Equatable {
    var settings = TargetSettings()
    let target: String

    func run() throws { try settings.withInstance(at: target, for: .list, show) }

    private func show(_ instance: Instance) throws {
        var output = StandardOutput()
        let reports = try DiskReport.all(of: instance)
        if settings.json {
            try output.write(
                DiskReport.json(target: target, consistency: instance.consistency, reports)
            )
        } else {
            for report in reports {
                try output.write(Message.harmless(report.text(wide: output.isTerminal)))
            }
        }
        try output.flush()
        if let failure = reports.compactMap(\.failure).first { throw failure }
    }
}
