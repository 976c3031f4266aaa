internal import Custody
internal import Digests
internal import DiskFormats
internal import JSON

/// What happened to the files of a bag, from the approval to the seal: `custody.jsonl`.
struct CustodyChain {
    /// All lines so far.
    private(set) var bytes: [UInt8] = []
    private var chain = HashChain()

    /// Bounds what a line may hold of lists that others make long.
    private static let listMax = 1_000
    private static let textMax = 500

    /// Notes who allowed it, or that nobody had to.
    mutating func begin(_ context: BagContext) {
        guard let authority = context.authority else {
            add("unapproved") { json in json.member(orNull: "reason", context.reason) }
            return
        }
        add("approval", at: authority.verified) { json in
            json.member("id", authority.id)
            json.member("ticket", authority.ticket)
            json.member("document", "\(Digest(of: authority.document))")
            if let digest = authority.policy { json.member("policy", "\(digest)") }
            if let digest = authority.requesters { json.member("requesters", "\(digest)") }
            if let digest = authority.approvers { json.member("approvers", "\(digest)") }
            if let digest = authority.operators { json.member("operators", "\(digest)") }
            if let digest = authority.revoked { json.member("revoked", "\(digest)") }
            json.key("requester")
            Self.write(authority.requester, to: &json)
            json.key("approver")
            Self.write(authority.approver, to: &json)
            json.member("reason", authority.reason)
        }
    }

    /// Notes how the instance is held, and since when.
    mutating func held(_ hold: BagHold?) {
        guard let hold else { return }
        add("held", at: hold.began) { json in hold.write(to: &json) }
    }

    /// Notes what became of the hold.
    mutating func released(_ report: HoldReport?) {
        guard let report else { return }
        add("released") { json in report.write(to: &json) }
    }

    /// Notes which disks are open, and which file systems.
    mutating func opened(_ source: BagSource) {
        add("opened") { json in
            json.member("target", base64: "target_base64", host: source.target)
            json.key("disks")
            json.array { json in for disk in source.disks { Self.write(disk, to: &json) } }
        }
        add("read") { json in
            json.key("volumes")
            json.array { json in
                for volume in source.opened { Self.write(volume, to: &json) }
            }
        }
    }

    /// Notes the head of the host's audit log.
    mutating func audit(_ head: AuditRecord?) {
        guard let head else { return }
        add("audit") { json in
            json.member("sequence", head.sequence)
            json.member("sha256", "\(head.digest)")
        }
    }

    /// Notes what came of it.
    mutating func extracted(_ taken: BagTaken, _ context: BagContext) {
        add("extracted") { json in
            json.key("paths")
            json.array { json in
                for path in context.paths.prefix(Self.listMax) where path.utf8.count <= 4_096 {
                    json.object { json in
                        json.member("path", base64: "path_base64", host: path)
                    }
                }
            }
            json.member("records", taken.records)
            json.member("files", taken.report.files)
            json.member("directories", taken.report.directories)
            json.member("other", taken.report.other)
            json.member("bytes", taken.report.bytes)
            json.member("partial", taken.partial)
            json.member("skipped", taken.skipped.values.reduce(0, +))
            json.member("problems", taken.problems)
            json.key("not_mounted")
            json.array { json in
                for sentence in taken.notMounted.prefix(Self.listMax) {
                    json.string(String(sentence.prefix(Self.textMax)))
                }
            }
            json.member("complete", taken.isComplete)
            json.member(plain: "ending", taken.report.ending == .limited ? "limited" : "finished")
        }
    }

    /// Notes what the bag holds, and whose key signs it.
    mutating func sealed(files: Digest, records: Digest, source: Digest, signer: String?) {
        add("sealed") { json in
            json.member("files_tar", "\(files)")
            json.member("files_jsonl", "\(records)")
            json.member("source", "\(source)")
            json.member(orNull: "operator", signer)
        }
    }

    private mutating func add(
        _ event: StaticString,
        at time: Timestamp = .now,
        _ members: (inout JSONText) -> Void
    ) {
        bytes += chain.line { json in
            json.member(plain: "event", event)
            json.member("time", time)
            members(&json)
        }
    }

    private static func write(_ signer: BagAuthority.Signer, to json: inout JSONText) {
        json.object { json in
            json.member("principal", signer.principal)
            json.member("key", signer.fingerprint)
        }
    }

    private static func write(_ disk: BagSource.Disk, to json: inout JSONText) {
        json.object { json in
            json.member("name", base64: "name_base64", host: disk.name)
            json.key("layers")
            json.array { json in
                for layer in disk.layers {
                    json.object { json in
                        json.member("path", base64: "path_base64", host: layer.path)
                        json.member("format", layer.format.rawValue)
                    }
                }
            }
            json.member(plain: "locks", disk.isHeld ? "none" : disk.isLocked ? "held" : "unknown")
            json.key("warnings")
            json.array { json in
                for warning in disk.warnings { json.string(String(warning.prefix(textMax))) }
            }
        }
    }

    private static func write(_ volume: BagSource.Volume, to json: inout JSONText) {
        json.object { json in
            json.member("name", base64: "name_base64", host: volume.name)
            json.member("reader", volume.reader?.rawValue ?? "")
            json.member("type", volume.type)
            json.member(plain: "journal", volume.journal?.word ?? "unknown")
            if case .replayed(let transactions, let blocks) = volume.journal {
                json.member("transactions", transactions)
                json.member("blocks", blocks)
            }
        }
    }
}

/// What came of an extraction into a bag.
struct BagTaken {
    let report: ExtractionReport
    let records: UInt64
    let partial: UInt64
    let skipped: [ExtractionReport.Reason: UInt64]
    let problems: UInt64
    let tree: TakenTree
    /// What the guest mounts there but is not at hand, a sentence each.
    let notMounted: [String]
    /// What became of the hold; nil where there was none.
    let release: HoldReport?
    /// Whether everything that was asked for is there, and of one moment.
    let isComplete: Bool

    init(
        _ report: ExtractionReport,
        _ records: BagRecords,
        _ context: BagContext,
        release: HoldReport?
    ) {
        self.release = release
        self.report = report
        self.records = records.count
        partial = records.partial
        skipped = records.skipped
        problems = records.problems
        tree = records.tree
        notMounted = context.notMounted
        isComplete = report.isComplete && !context.lacksMount && release?.isIntact != false
    }
}
