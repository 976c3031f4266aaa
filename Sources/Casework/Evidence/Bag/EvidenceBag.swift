package import Digests
internal import DiskFormats
internal import Linux

/// Makes an evidence bag (docs/evidence.md): takes files out, keeps a record of each, seals it all.
///
/// One pass; neither records nor names are held (docs/evidence.md has what memory it takes). Where
/// anything fails or is cancelled, nothing is left at the bag's place.
package struct EvidenceBag {
    /// What identifies a bag that is made.
    package struct Seal: Sendable {
        /// Where it is.
        package let path: String
        /// The digest of its tag manifest, which stands for all of it.
        package let tagManifest: Digest
        /// The digest of files.tar.
        package let files: Digest
        /// The key that signed it, as ssh-keygen prints it; nil where none did.
        package let signer: String?
    }

    private let path: String
    private let name: String
    private let isTar: Bool
    private let signer: BagSigner?

    /// Plans a bag at `path`, which ends in `.bag` or `.tar`, and where nothing may be.
    package init(at path: String, signer: BagSigner?) throws(GloveboxError) {
        var path = path
        while path.hasSuffix("/"), path.count > 1 { path.removeLast() }
        let last = path.split(separator: "/").last.map(String.init) ?? ""
        guard last.hasSuffix(".bag") || last.hasSuffix(".tar") else {
            throw GloveboxError(
                .usage,
                "\(path) is no name for a bag.",
                advice:
                    "Give --to a name that ends in .bag for a directory, or in .tar for one file."
            )
        }
        self.path = path
        self.signer = signer
        name = String(last.dropLast(4))
        isTar = last.hasSuffix(".tar")
        guard Self.isName(name) else {
            throw GloveboxError(
                .usage,
                "\(last) is no name for a bag.",
                advice: "It may have 60 letters, digits, and . _ - before its ending, and begins "
                    + "with a letter or a digit."
            )
        }
        try Self.refuseExisting(path)
        if !isTar { try Self.refusePartial(path + ".partial") }
    }

    /// Takes out what `roots` name.
    ///
    /// The seal is there where the report's ending is `finished` or `limited`; throws where the bag
    /// itself could not be written or signed.
    package func make(
        from roots: [Extraction.Root],
        options: Extraction.Options,
        source: BagSource,
        context: BagContext,
        cancellation: CancellationFlag,
        progress: @escaping (Extraction.Progress) -> Void
    ) throws(GloveboxError) -> (report: ExtractionReport, seal: Seal?) {
        try refuseUnsigned(context)
        var custody = CustodyChain()
        custody.begin(context)
        custody.held(context.hold)
        custody.opened(source)
        custody.audit(context.audit)
        let form = try writing { () throws(SystemError) -> any BagForm in
            isTar ? try BagTar(path, name: name) : try BagDirectory(path)
        }
        var isPublished = false
        defer { if !isPublished { form.discard() } }
        let (extraction, records) = try begin(form, roots, options)
        var report = extraction.run(observer: records, cancellation, progress)
        guard let archive = report.archive, report.ending == .finished || report.ending == .limited
        else { return (report, nil) }
        // All is read: from here on the instance need not wait.
        let taken = BagTaken(report, records, context, release: context.hold?.release())
        custody.released(taken.release)
        custody.extracted(taken, context)
        var content = try end(form, records, archive)
        let tagManifest = try seal(form, &content, custody, taken, source, context)
        isPublished = try publish(form, unless: cancellation)
        guard isPublished else {
            report.ending = .cancelled
            return (report, nil)
        }
        let seal = Seal(
            path: path,
            tagManifest: tagManifest,
            files: archive.digest,
            signer: signer?.fingerprint
        )
        return (report, seal)
    }

    private func begin(
        _ form: any BagForm,
        _ roots: [Extraction.Root],
        _ options: Extraction.Options
    ) throws(GloveboxError) -> (Extraction, BagRecords) {
        try writing { () throws(SystemError) in
            let archive = try form.beginArchive()
            let extraction = Extraction(roots, to: .archive(archive), options: options)
            let remarks = try form.scratch()
            return (extraction, BagRecords(extraction, to: form.records, remarks: remarks))
        }
    }

    private func end(
        _ form: any BagForm,
        _ records: BagRecords,
        _ archive: (digest: Digest, byteCount: UInt64)
    ) throws(GloveboxError) -> BagContent {
        try writing { () throws(SystemError) in
            let lines = try records.finish()
            try form.endArchive(archive.byteCount)
            try form.endRecords(lines.byteCount)
            return BagContent(archive, lines)
        }
    }

    /// Gives the bag its name; false where it was cancelled before.
    private func publish(
        _ form: any BagForm,
        unless cancellation: CancellationFlag
    ) throws(GloveboxError) -> Bool {
        try writing { () throws(SystemError) in
            if cancellation.isSet { return false }
            try form.synchronize()
            if cancellation.isSet { return false }
            try form.publish()
            return true
        }
    }

    /// Adds everything but archive and records; gives the digest of the tag manifest.
    private func seal(
        _ form: any BagForm,
        _ content: inout BagContent,
        _ custody: CustodyChain,
        _ taken: BagTaken,
        _ source: BagSource,
        _ context: BagContext
    ) throws(GloveboxError) -> Digest {
        var custody = custody
        let document = source.document(context)
        custody.sealed(
            files: content.digest(of: .archive),
            records: content.digest(of: .records),
            source: Digest(of: document),
            signer: signer?.fingerprint
        )
        content.add(.source, document)
        if let authority = context.authority {
            content.add(.approval, authority.document)
            content.add(.requestSignature, authority.requestSignature)
            content.add(.approvalSignature, authority.approvalSignature)
        }
        content.add(.custody, custody.bytes)
        let sealed = Timestamp.now
        let report = BagReport(
            name: name,
            taken: taken,
            source: source,
            context: context,
            signer: signer?.fingerprint,
            sealed: sealed,
            payload: content.payload
        )
        content.add(.report, report.html())
        content.addTags(name: name, context, sealed)
        let tagManifest = content.bytes(of: .tagManifest)
        if let signer { content.add(.signature, try signer.sign(tagManifest)) }
        for (member, bytes) in content.small {
            try writing { () throws(SystemError) in try form.add(member, bytes) }
        }
        return Digest(of: tagManifest)
    }

    /// Runs `body`, which writes the bag.
    private func writing<Value>(
        _ body: () throws(SystemError) -> Value
    ) throws(GloveboxError) -> Value {
        do throws(SystemError) { return try body() } catch {
            let text = "The bag \(path) could not be written: \(error) Nothing was left behind."
            throw GloveboxError(.unreadable, text)
        }
    }

    private func refuseUnsigned(_ context: BagContext) throws(GloveboxError) {
        guard context.authority != nil, signer == nil else { return }
        throw GloveboxError(
            .usage,
            "A bag of what an approval allowed has to be signed by the operator.",
            advice: "Give --sign-key."
        )
    }

    private static func isName(_ name: String) -> Bool {
        func isPlain(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        let rest = name.utf8.dropFirst()
        return 1...60 ~= name.utf8.count && name.utf8.prefix(1).allSatisfy(isPlain)
            && rest.allSatisfy { isPlain($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    }

    private static func refuseExisting(_ path: String) throws(GloveboxError) {
        guard FileDescriptor.exists(path) else { return }
        throw GloveboxError(
            .usage,
            "\(path) exists already.",
            advice: "Nothing is overwritten: give another name, or remove it."
        )
    }

    private static func refusePartial(_ path: String) throws(GloveboxError) {
        guard FileDescriptor.exists(path) else { return }
        throw GloveboxError(
            .usage,
            "\(path) exists: a bag is being made there, or the program that made one was killed.",
            advice: "Where nobody is at work, remove it, or give another name."
        )
    }
}

extension Extraction {
    /// The same as ``run(cancellation:progress:)`` into an archive, which somebody observes.
    func run(
        observer: any ArchiveObserver,
        _ cancellation: CancellationFlag,
        _ progress: @escaping (Progress) -> Void
    ) -> ExtractionReport {
        guard case .archive(let output) = sink else {
            return run(cancellation: cancellation, progress: progress)
        }
        return FileDescriptor.withoutPipeSignal {
            ArchiveExtraction(self, cancellation, observer: observer, progress).run(into: output)
        }
    }
}
