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
              glovebox extract disk.qcow2 /home --to case-17.bag --sign-key ~/.ssh/id_ed25519
              glovebox extract disk.qcow2 /home --to case-17.tar --sign-key ~/.ssh/id_ed25519

            Into a directory: nothing is overwritten, no link is followed, no device is made, setuid \
            and setgid bits are dropped. Into a tar (pax): owners, times, ACLs, attributes, hard \
            links, devices and holes are kept.

            Into an evidence bag (--to): a BagIt bag with the tar, a record of every file with its \
            digest, where it came from, a chain of custody and a report for people; \
            `sha256sum -c` and `ssh-keygen -Y verify` check it, docs/evidence.md says how.

            A file appears under its path in the guest. What could not be read is listed, exit code \
            5; it is never replaced by zeros in silence. An interrupted tar or bag leaves no file behind; an \
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
        help: ArgumentHelp(
            "Make an evidence bag: a directory NAME.bag, or one file NAME.tar.",
            valueName: "bag"
        )
    )
    var to: String?

    @Option(
        help: ArgumentHelp(
            "Sign the bag with this key, as ssh-keygen does (a file, or the agent's .pub).",
            valueName: "file"
        )
    )
    var signKey: String?

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

    @Argument(help: "Image file, instance directory, or domain:NAME (ID, UUID).")
    var target: String

    @Argument(help: "Files and directories in the guest.")
    var paths: [String]

    func validate() throws {
        guard [to, toDir, toTar].compactMap(\.self).count == 1 else {
            throw ValidationError(
                "Give one of --to NAME.bag (or NAME.tar), --to-dir DIR, --to-tar FILE (- for "
                    + "standard output)."
            )
        }
        guard signKey == nil || to != nil else {
            throw ValidationError(
                "--sign-key signs an evidence bag: give --to NAME.bag or NAME.tar."
            )
        }
        guard !paths.isEmpty else { throw ValidationError("Give at least one path in the guest.") }
    }

    func run() throws {
        let cancellation = CancellationFlag()
        let begun = CancellationFlag()
        let guardian = HeldInstance()
        defer { Interruption.forget() }
        Interruption.onFirst {
            cancellation.set()
            // Nothing looks at the flag before the extraction does; and then it may hang in a pipe
            // that nobody empties, for which no instance is to wait.
            guard !begun.isSet else { return guardian.release() }
            Program.exit(guardian.letGo() ?? GloveboxError.Kind.interrupted.rawValue)
        }
        // A key that cannot sign, and a bag that cannot be made, are said before a disk is opened.
        let bag = try to.map { path in
            let signer = try signKey.map { key in
                try BagSigner(key: key, agent: OwnProcess.variable("SSH_AUTH_SOCK"))
            }
            return try EvidenceBag(at: path, signer: signer)
        }
        let summary = try options.withRecordedInstance(
            at: target,
            for: .extract,
            guardedBy: guardian,
            tellsOfHold: true
        ) { instance, record in
            try extract(from: instance, record, into: bag, cancellation, begun)
        }
        try summary.finish()
    }

    private func extract(
        from instance: Instance,
        _ record: AuditRecord?,
        into bag: EvidenceBag?,
        _ cancellation: CancellationFlag,
        _ begun: CancellationFlag
    ) throws -> ExtractionSummary {
        let places = try ExtractionRoots(paths, of: instance)
        for sentence in places.leftOut { Message.warn(sentence) }
        var limits = Extraction.Options()
        limits.maximumBytes = maxBytes
        limits.maximumFiles = maxFiles
        limits.keepsOwners = keepOwners
        // Every read would fail from then on.
        if let hold = instance.hold { limits.isOver = { !hold.isHeld } }
        let progress = ProgressLine(shown: !quiet && !options.json, total: places.estimatedBytes)
        // The last that may wait for long before anything is held: a FIFO opens with its reader.
        let stream = try openStream()
        begun.set()
        if cancellation.isSet {
            _ = instance.release()
            Program.exit(GloveboxError.Kind.interrupted.rawValue)
        }

        let run: (Extraction.Sink) -> ExtractionReport = { sink in
            let extraction = Extraction(places.roots, to: sink, options: limits)
            return extraction.run(cancellation: cancellation) { progress.show($0) }
        }
        defer { progress.end() }
        let report: ExtractionReport
        var seal: EvidenceBag.Seal?
        if let bag {
            (report, seal) = try bag.make(
                from: places.roots,
                options: limits,
                source: BagSource(of: instance),
                context: BagContext(
                    paths: paths,
                    program: "glovebox \(Version.text)",
                    notMounted: places.leftOut,
                    lacksMount: places.lacksMount,
                    authority: BagAuthority(of: instance),
                    reason: instance.reason,
                    audit: record,
                    hold: instance.hold.map { BagHold($0) }
                ),
                cancellation: cancellation,
                progress: { progress.show($0) }
            )
            if let seal {
                try AuditTrail(stateDirectory: options.stateDir)
                    .recordSeal(ofBag: seal.path, tagManifest: seal.tagManifest)
            }
        } else if let toDir {
            report = run(.directory(path: toDir))
        } else if let stream {
            report = run(.archive(stream))
        } else {
            report = try writeFile(toTar ?? "", of: instance, run)
        }
        return ExtractionSummary(
            report,
            notMounted: places.leftOut,
            lacksMount: places.lacksMount,
            consistency: instance.consistency,
            release: HoldScope.release(after: instance),
            isBag: bag != nil,
            seal: seal,
            json: options.json,
            toStandardOutput: toTar != "-"
        )
    }

    private func writeFile(
        _ path: String,
        of instance: Instance,
        _ run: (Extraction.Sink) -> ExtractionReport
    ) throws -> ExtractionReport {
        let file = try PendingFile(path)
        let report = run(.archive(file.descriptor))
        if report.ending == .finished || report.ending == .limited {
            // All is read: no instance waits until our disk has written it.
            _ = HoldScope.release(after: instance)
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

extension BagSource {
    /// The disks of `instance` that are open by now.
    fileprivate init(of instance: Instance) {
        self.init(
            target: instance.target,
            instance: instance.instanceID,
            disks: instance.attachedDisks,
            inner: instance.engine?.knownInnerVolumes ?? [],
            consistency: instance.consistency
        )
    }
}

extension BagAuthority {
    /// The approval by which `instance` was opened; nil where none was needed.
    fileprivate init?(of instance: Instance) {
        guard let approval = instance.approval else { return nil }
        self.init(approval, layers: instance.attachedDisks.first?.image.layers ?? [])
    }
}
