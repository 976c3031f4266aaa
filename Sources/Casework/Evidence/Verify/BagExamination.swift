internal import Digests
internal import DiskFormats
internal import JSON

/// The checks of a bag one after another; each relies on those before it.
struct BagExamination {
    typealias Outcome = (BagVerdict.Status, String)

    let verification: BagVerification
    let watch: VerificationWatch
    private var bag: OpenedBag?
    /// The files that are small enough to be held.
    private(set) var texts: [BagFile: [UInt8]] = [:]
    private var information: BagInformation?
    private(set) var pass: PayloadPass?
    private(set) var digests: [BagFile: Digest] = [:]
    var source: SourceRecord?
    var custody: CustodyRecord?
    var document: ApprovedDocument?

    init(_ verification: BagVerification, _ watch: VerificationWatch) {
        self.verification = verification
        self.watch = watch
    }

    mutating func perform(
        _ check: BagCheck,
        _ verdict: inout BagVerdict
    ) throws(BagStop) -> Outcome {
        switch check {
        case .form: try form(&verdict)
        case .information: try information(&verdict)
        case .tagFiles: try tagFiles()
        case .payload: try payload()
        case .records: try records(&verdict)
        case .source: try sourceText()
        case .custody: try custodyChain(&verdict)
        case .approval: try approval(&verdict)
        case .scope: try scope()
        case .seal: try seal(&verdict)
        case .trust: try checkTrust()
        }
    }

    /// A file that is held; empty where the bag lacks it.
    func text(_ file: BagFile) -> [UInt8] { texts[file] ?? [] }

    /// Whether the bag has the file.
    func has(_ file: BagFile) -> Bool { bag?[file] != nil }

    private mutating func form(_ verdict: inout BagVerdict) throws(BagStop) -> Outcome {
        let bag = try OpenedBag(verification.path)
        self.bag = bag
        verdict.isTar = bag.isTar
        if let name = bag.name { verdict.name = GuestName.escaped(name) }
        for file in BagFile.allCases {
            guard file.byteCountMax != nil, let part = bag[file] else { continue }
            let bytes = try PartReader(part, watch).bytes(Int(part.size))
            texts[file] = bytes
            digests[file] = Digest(of: bytes)
        }
        let form = bag.isTar ? "a tar in the one form it has" : "a directory with its files"
        return (.passed, "\(form), nothing else in it")
    }

    private mutating func information(_ verdict: inout BagVerdict) throws(BagStop) -> Outcome {
        guard let bag else { throw Self.unreached }
        let declaration = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
        guard text(.declaration).elementsEqual(declaration.utf8) else {
            throw .fault(.file(.declaration), "it is not the declaration of BagIt 1.0, in UTF-8")
        }
        let information = try BagInformation(text(.information))
        if let name = bag.name, !name.elementsEqual(information.name.utf8) {
            let shown = GuestName.escaped(name)
            throw .fault(
                .file(.information),
                "it calls the bag \(information.name), the tar \(shown)"
            )
        }
        let payload = bag.payload
        guard information.payloadBytes == payload.bytes,
            information.payloadFiles == UInt64(payload.files)
        else {
            throw .fault(
                .file(.information),
                "its Payload-Oxum is \(information.payloadBytes).\(information.payloadFiles), but "
                    + "the payload has \(payload.bytes) bytes in \(payload.files) files"
            )
        }
        guard (information.ticket != nil) == has(.approval) else {
            throw .fault(
                .file(.information),
                "External-Identifier has to be there where an approval is, and only there"
            )
        }
        self.information = information
        verdict.name = information.name
        return (.passed, "\(information.name), by \(information.program) on \(information.date)")
    }

    private mutating func tagFiles() throws(BagStop) -> Outcome {
        let stated = try BagManifest(text(.tagManifest), of: .tagManifest, BagFile.tagged)
        if let report = bag?[.report] { digests[.report] = try PartReader(report, watch).digest() }
        for file in BagFile.tagged { try compare(file, stated) }
        return (.passed, "\(BagFile.tagged.count) files as \(BagFile.tagManifest.rawValue) states")
    }

    private func compare(_ file: BagFile, _ stated: BagManifest) throws(BagStop) {
        guard digests[file] == stated.digests[file] else {
            throw .fault(.file(file), "its SHA-256 is not the one that the manifest states")
        }
    }

    private mutating func payload() throws(BagStop) -> Outcome {
        guard let bag, let archive = bag[.archive], let records = bag[.records] else {
            throw Self.unreached
        }
        let files = BagFile.allCases.filter { $0.isPayload && has($0) }
        let stated = try BagManifest(text(.manifest), of: .manifest, files)
        // What is short comes first: a fault in it need not wait for the rest.
        for file in files where file.byteCountMax != nil { try compare(file, stated) }
        var pass = PayloadPass(archive, records, bagScope, watch)
        digests.merge(try pass.run()) { $1 }
        self.pass = pass
        for file in files { try compare(file, stated) }
        return (.passed, "\(files.count) files as \(BagFile.manifest.rawValue) states")
    }

    /// The scope of the approval, which has not been verified by then; nil where there is none.
    private var bagScope: BagScope? {
        guard let document = try? ApprovalDocument(text(.approval)) else { return nil }
        let paths = (try? CustodyRecord(text(.custody)))?.extracted.paths ?? []
        return BagScope(
            scope: document.scope,
            hasBarePath: paths.contains { $0.first == UInt8(ascii: "/") }
        )
    }

    private func records(_ verdict: inout BagVerdict) throws(BagStop) -> Outcome {
        guard let pass else { throw Self.unreached }
        if let fault = pass.fault { throw .fault(fault) }
        verdict.entries = pass.counts.entries
        verdict.contentBytes = pass.counts.bytes
        return (.passed, "\(pass.counts.entries) entries of files.tar as files.jsonl states")
    }

    private mutating func sourceText() throws(BagStop) -> Outcome {
        let source = try SourceRecord(text(.source))
        self.source = source
        return (.passed, source.instance.map { "instance \($0)" } ?? "a loose image")
    }

    private mutating func custodyChain(_ verdict: inout BagVerdict) throws(BagStop) -> Outcome {
        let custody = try CustodyRecord(text(.custody))
        self.custody = custody
        guard (custody.approval != nil) == has(.approval) else {
            throw .fault(.line(.custody, 1), "it does not fit the approval in the bag, or its lack")
        }
        try compareHold(custody)
        try compareSeal(custody)
        try compareCounts(custody)
        try compareDate(custody)
        verdict.sealed = custody.sealedAt
        verdict.reason = custody.reason
        verdict.isComplete = custody.extracted.isComplete
        let incomplete = custody.extracted.isComplete ? "" : "; not all of it could be read"
        return (.passed, "sealed \(custody.sealedAt.inSeconds)\(incomplete)")
    }

    private func compareHold(_ custody: CustodyRecord) throws(BagStop) {
        guard let source else { throw Self.unreached }
        guard (custody.hold?.consistency ?? .offline) == source.consistency else {
            throw .fault(
                .file(.custody),
                "how the instance was held does not fit the consistency in source.json"
            )
        }
        guard let hold = custody.hold, let instance = source.instance, instance != hold.uuid else {
            return
        }
        throw .fault(.file(.custody), "the event held is about another instance than source.json")
    }

    private func compareSeal(_ custody: CustodyRecord) throws(BagStop) {
        for (file, digest) in custody.sealed.digests where digests[file] != digest {
            throw .fault(.file(.custody), "the event sealed has another digest of \(file.rawValue)")
        }
        let key = SSHSignature(text(.signature))?.key.fingerprint
        // A signature that cannot be read is the seal's business.
        guard has(.signature), key == nil || key == custody.sealed.operatorKey
        else {
            if !has(.signature), custody.sealed.operatorKey == nil { return }
            throw .fault(
                .file(.custody),
                "the event sealed names another key than the signature has"
            )
        }
    }

    private func compareCounts(_ custody: CustodyRecord) throws(BagStop) {
        guard let counts = pass?.counts else { throw Self.unreached }
        func count(_ kinds: [PaxEntry.Kind]) -> UInt64 {
            kinds.reduce(0) { $0 + (counts.byKind[$1] ?? 0) }
        }
        let seen = [
            ("records", counts.entries), ("files", count([.file, .hardLink])),
            ("directories", count([.directory])),
            ("other", count([.symbolicLink, .character, .block, .fifo])),
        ]
        for (name, number) in seen where custody.extracted.counts[name] != number {
            let stated = custody.extracted.counts[name] ?? 0
            throw .fault(
                .file(.custody),
                "the event extracted counts \(stated) \(name), but there are \(number)"
            )
        }
    }

    /// The date of the bag lies between the first event and the last.
    private func compareDate(_ custody: CustodyRecord) throws(BagStop) {
        guard let date = information?.date else { throw Self.unreached }
        let dates = [custody.begun, custody.sealedAt].map { $0.iso8601.prefix(10) }
        guard dates[0] <= date, date <= dates[1] else {
            throw .fault(.file(.information), "its Bagging-Date does not fit the times of custody")
        }
    }

    /// The ticket as bag-info.txt has it.
    var ticket: String? { information?.ticket }

    /// A check that relies on one that has not passed; the order of checks rules it out.
    static let unreached = BagStop.error(
        GloveboxError(.unreadable, "The checks of a bag came out of order; please report this.")
    )
}
