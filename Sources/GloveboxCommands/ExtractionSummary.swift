internal import ArgumentParser
internal import Casework
internal import DiskFormats
internal import JSON
internal import Linux

/// Says what an extraction took out, and ends with the exit code that fits.
struct ExtractionSummary {
    private let report: ExtractionReport
    /// What the guest mounts within what was asked for, but is not at hand; a sentence each.
    private let notMounted: [String]
    private let isComplete: Bool
    private let consistency: Consistency
    /// What became of the hold; nil where there was none.
    private let release: HoldReport?
    /// Whether it is all or nothing.
    private let isBag: Bool
    private let seal: EvidenceBag.Seal?
    private let json: Bool
    private let stream: StandardStream

    /// Enough for a user to see what is wrong; `--json` has all.
    private static let shownMax = 20

    init(
        _ report: ExtractionReport,
        notMounted: [String],
        lacksMount: Bool,
        consistency: Consistency = .offline,
        release: HoldReport? = nil,
        isBag: Bool = false,
        seal: EvidenceBag.Seal? = nil,
        json: Bool,
        toStandardOutput: Bool
    ) {
        self.report = report
        self.notMounted = notMounted
        self.isComplete = report.isComplete && !lacksMount && release?.problem == nil
        self.consistency = consistency
        self.release = release
        self.isBag = isBag
        self.seal = seal
        self.json = json
        self.stream = toStandardOutput ? .output : .error
    }

    func finish() throws {
        if json {
            try stream.write(document())
        } else {
            describe()
        }
        // What is still held, and a hold that did not last, come before what followed from that.
        if let problem = release?.problem { throw problem }
        switch report.ending {
        case .finished where isComplete:
            return
        case .finished, .limited:
            throw ExitCode(GloveboxError.Kind.unreadable.rawValue)
        case .cancelled:
            throw ExitCode(GloveboxError.Kind.interrupted.rawValue)
        case .outputClosed:
            throw GloveboxError(
                .unreadable,
                "Whoever read the archive went away; it is not complete."
            )
        case .failed(let failure):
            let state = isBag ? "No bag was made." : "What was extracted is not complete."
            throw GloveboxError(.unreadable, "\(failure) \(state)")
        }
    }

    private func describe() {
        for problem in report.problems.prefix(Self.shownMax) {
            let range = problem.range.map { " bytes \($0.lowerBound)–\($0.upperBound - 1)" } ?? ""
            Message.warn("\(GuestName.escaped(problem.path))\(range): \(problem.failure)")
        }
        for skipped in report.skipped.prefix(Self.shownMax) {
            Message.warn("\(GuestName.escaped(skipped.path)): \(skipped.reason.rawValue)")
        }
        let hidden =
            max(0, report.problems.count - Self.shownMax)
            + max(0, report.skipped.count - Self.shownMax) + report.omittedNotes
        if hidden > 0 { Message.warn("\(hidden) more remarks; --json lists them.") }
        let counts =
            "\(report.files) files, \(report.directories) directories, \(report.other) others"
        Message.say("glovebox: \(ending): \(counts), \(humanSize(report.bytes))")
        guard let seal else { return }
        let signer = seal.signer.map { "signed by \($0)" } ?? "not signed"
        Message.say("glovebox: \(seal.path) is sealed, \(signer)")
        Message.say("glovebox: SHA-256 of its tag manifest: \(seal.tagManifest)")
    }

    private var ending: String {
        switch report.ending {
        case .finished: isComplete ? "extracted" : "extracted, but not everything"
        case .limited: "a limit ended the extraction; extracted so far"
        case .cancelled:
            isBag ? "interrupted, no bag was made; read so far" : "interrupted; complete so far"
        case .outputClosed, .failed:
            isBag ? "failed, no bag was made; read so far" : "failed; complete so far"
        }
    }

    private func write(_ seal: EvidenceBag.Seal, to json: inout JSONText) {
        json.key("bag")
        json.object { json in
            json.member("path", base64: "path_base64", host: seal.path)
            json.member("tagmanifest_sha256", "\(seal.tagManifest)")
            json.member("files_tar_sha256", "\(seal.files)")
            json.member(orNull: "signer", seal.signer)
        }
    }

    private func document() -> [UInt8] {
        var json = JSONText()
        json.object { json in
            json.member("schema", "glovebox.extract/1")
            json.member("complete", isComplete)
            json.member("ending", ending)
            json.member("consistency", consistency.rawValue)
            if let release {
                json.key("hold")
                json.object { json in
                    json.member("session", release.session)
                    release.write(to: &json)
                }
            }
            json.member("files", report.files)
            json.member("directories", report.directories)
            json.member("other", report.other)
            json.member("bytes", report.bytes)
            if let seal { write(seal, to: &json) }
            json.key("not_mounted")
            json.array { json in for sentence in notMounted { json.string(sentence) } }
            json.key("skipped")
            json.array { json in
                for skipped in report.skipped {
                    json.object { json in
                        json.member("path", base64: "path_base64", skipped.path)
                        json.member("reason", skipped.reason.rawValue)
                    }
                }
            }
            json.key("problems")
            json.array { json in
                for problem in report.problems {
                    json.object { json in
                        json.member("path", base64: "path_base64", problem.path)
                        json.member("error", "\(problem.failure)")
                        if let range = problem.range {
                            json.member("offset", range.lowerBound)
                            json.member("length", range.upperBound - range.lowerBound)
                        }
                    }
                }
            }
        }
        json.endLine()
        return json.bytes
    }
}
