internal import ArgumentParser
internal import Casework
internal import DiskFormats
internal import Glovebox
internal import Linux

struct ExtractCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "extract",
        abstract: "Take files and directories out of the guest.",
        discussion: """
            Examples:
              glovebox extract /var/lib/nova/instances/UUID /home /etc --to-dir case-17
              glovebox extract disk.qcow2 / --to-tar all.tar
              glovebox extract disk.qcow2 /var/log --to-tar - | gzip > logs.tar.gz

            Into a directory: nothing is overwritten, no link is followed, no device is made, setuid \
            and setgid bits are dropped. Into a tar (pax): owners, times, ACLs, attributes, hard \
            links, devices and holes are kept.

            A file appears under its path in the guest. What could not be read is listed, exit code \
            5; it is never replaced by zeros in silence. An interrupted tar leaves no file behind; an \
            interrupted directory keeps the files that are complete.
            """
    )

    @OptionGroup var options: TargetOptions

    @Option(
        help: ArgumentHelp("Write into this directory; made where it is missing.", valueName: "dir")
    )
    var toDir: String?

    @Option(help: ArgumentHelp("Write a pax archive; - is standard output.", valueName: "file"))
    var toTar: String?

    @Option(
        help: ArgumentHelp("Stop before more than this many bytes of content.", valueName: "bytes")
    )
    var maxBytes: UInt64?

    @Option(help: ArgumentHelp("Stop before more than this many files.", valueName: "count"))
    var maxFiles: Int?

    @Flag(help: "In a directory, give files their owners (as root).")
    var keepOwners = false

    @Flag(name: .shortAndLong, help: "Show no progress.")
    var quiet = false

    @Argument(help: "Image file or instance directory.")
    var target: String

    @Argument(help: "Files and directories in the guest.")
    var paths: [String]

    func validate() throws {
        guard (toDir == nil) != (toTar == nil) else {
            throw ValidationError(
                "Give either --to-dir DIR or --to-tar FILE (- for standard output)."
            )
        }
        guard !paths.isEmpty else { throw ValidationError("Give at least one path in the guest.") }
    }

    func run() throws {
        let cancellation = CancellationFlag()
        let begun = CancellationFlag()
        Interruption.onFirst {
            cancellation.set()
            // Nothing is held yet, and nothing looks at the flag before the extraction does.
            if !begun.isSet { Program.exit(GloveboxError.Kind.interrupted.rawValue) }
        }
        let summary = try options.withInstance(at: target, for: .extract) { instance in
            try extract(from: instance, cancellation, begun)
        }
        try summary.finish()
    }

    private func extract(
        from instance: Instance,
        _ cancellation: CancellationFlag,
        _ begun: CancellationFlag
    ) throws -> ExtractionSummary {
        let places = try ExtractionRoots(paths, of: instance)
        for sentence in places.leftOut { Message.warn(sentence) }
        var limits = Extraction.Options()
        limits.maximumBytes = maxBytes
        limits.maximumFiles = maxFiles
        limits.keepsOwners = keepOwners
        let progress = ProgressLine(shown: !quiet && !options.json, total: places.estimatedBytes)
        // The last that may wait for long before anything is held: a FIFO opens with its reader.
        let stream = try openStream()
        begun.set()
        if cancellation.isSet { Program.exit(GloveboxError.Kind.interrupted.rawValue) }

        let run: (Extraction.Sink) -> ExtractionReport = { sink in
            let extraction = Extraction(places.roots, to: sink, options: limits)
            return extraction.run(cancellation: cancellation) { progress.show($0) }
        }
        defer { progress.end() }
        let report: ExtractionReport
        if let toDir {
            report = run(.directory(path: toDir))
        } else if let stream {
            report = run(.archive(stream))
        } else {
            report = try writeFile(toTar ?? "", run)
        }
        return ExtractionSummary(
            report,
            notMounted: places.leftOut,
            lacksMount: places.lacksMount,
            json: options.json,
            toStandardOutput: toTar != "-"
        )
    }

    private func writeFile(
        _ path: String,
        _ run: (Extraction.Sink) -> ExtractionReport
    ) throws -> ExtractionReport {
        let file = try PendingFile(path)
        let report = run(.archive(file.descriptor))
        if report.ending == .finished || report.ending == .limited {
            try file.publish()
        } else {
            file.discard()
        }
        return report
    }

    /// What an archive is written to as it comes; nil where it becomes a file of its own.
    private func openStream() throws -> FileDescriptor? {
        guard let toTar else { return nil }
        if toTar != "-" { return try specialFile(toTar) }
        try refuseTerminal()
        return try .standardOutput()
    }

    /// A FIFO or a device that is there already is written to; a file that is there is refused.
    private func specialFile(_ path: String) throws -> FileDescriptor? {
        guard let kind = try? FileDescriptor.open(path, FileDescriptor.pathOnly).status().kind
        else {
            return nil
        }
        guard kind == .fifo || kind == .characterDevice else {
            throw GloveboxError(
                .usage,
                "\(path) exists already.",
                advice: "Nothing is overwritten: give another name, or remove it."
            )
        }
        return try FileDescriptor.openForWriting(path)
    }

    private func refuseTerminal() throws(GloveboxError) {
        guard StandardStream.output.isTerminal else { return }
        throw GloveboxError(
            .usage,
            "A tar is not written to a terminal.",
            advice: "Redirect standard output, or give --to-tar a file."
        )
    }
}
