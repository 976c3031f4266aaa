internal import Digests
package import DiskFormats
internal import JSON

/// What is shown of an approval.
package struct ApprovedDocument: Sendable {
    package let id: String
    package let ticket: String
    package let requester: BagKey
    package let approver: BagKey
    package let notBefore: Timestamp
    package let expires: Timestamp
    package let reason: String
}

extension BagExamination {
    mutating func approval(_ verdict: inout BagVerdict) throws(BagStop) -> Outcome {
        guard let custody, let source else { throw Self.unreached }
        guard let event = custody.approval else {
            let reason = custody.reason.map { GuestName.escaped(Array($0.utf8)) }
            return (.notDone, "there is no approval; reason given: \(reason ?? "none")")
        }
        let approval = try verified(at: custody.begun)
        try compare(approval, event)
        try compare(approval, source)
        guard approval.actions.contains(.extract) else {
            throw .fault(.file(.approval), "it does not allow to extract")
        }
        let trust = verification.trust
        let document = ApprovedDocument(
            id: approval.id,
            ticket: approval.ticket,
            requester: BagKey(
                principal: trust.requesters.map { _ in approval.requester },
                fingerprint: approval.requesterFingerprint
            ),
            approver: BagKey(
                principal: trust.approvers.map { _ in approval.approver },
                fingerprint: approval.approverFingerprint
            ),
            notBefore: approval.notBefore,
            expires: approval.expires,
            reason: approval.reason
        )
        self.document = document
        verdict.approval = document
        return (
            .passed,
            "\(approval.ticket): asked for by \(approval.requester), "
                + "allowed by \(approval.approver), valid at \(custody.begun.inSeconds)"
        )
    }

    /// The approval with its signatures, each by a key of its list; where there is no list, by the
    /// key that it states, for which nobody vouches then.
    private func verified(at time: Timestamp) throws(BagStop) -> Approval {
        let trust = verification.trust
        do throws(ApprovalError) {
            let lists = TrustLists(
                requesters: try list(trust.requesters, .requestSignature, .request),
                approvers: try list(trust.approvers, .approvalSignature, .approval),
                operators: trust.operators,
                revoked: trust.revoked,
                approvalHoursMax: trust.approvalHoursMax
            )
            return try ApprovalGate.verify(
                document: text(.approval),
                requestSignature: text(.requestSignature),
                approvalSignature: text(.approvalSignature),
                lists: lists,
                at: time
            )
        } catch {
            throw .fault(Self.place(error), Self.sentence(error.description))
        }
    }

    private func list(
        _ list: SignerList?,
        _ file: BagFile,
        _ purpose: SignaturePurpose
    ) throws(ApprovalError) -> SignerList {
        if let list { return list }
        let document: ApprovalDocument
        do throws(JSONError) { document = try ApprovalDocument(text(.approval)) } catch {
            throw .document(error)
        }
        let name = purpose == .request ? document.requester : document.approver
        guard let key = SSHSignature(text(file))?.key,
            let list = SignerList.unvouched(key, as: name)
        else { throw .signature(purpose, .malformed) }
        return list
    }

    private static func place(_ error: ApprovalError) -> BagFault.Place {
        switch error {
        case .signature(.request, _), .otherSigner(.request, _, _): .file(.requestSignature)
        case .signature, .otherSigner: .file(.approvalSignature)
        default: .file(.approval)
        }
    }

    /// A sentence without its end.
    private static func sentence(_ text: String) -> String {
        let shown = GuestName.escaped(Array(text.utf8))
        return shown.hasSuffix(".") ? String(shown.dropLast()) : shown
    }

    private func compare(
        _ approval: Approval,
        _ event: CustodyRecord.ApprovalEvent
    ) throws(BagStop) {
        guard event.document == approval.documentDigest, event.id == approval.id,
            event.ticket == approval.ticket
        else { throw .fault(.line(.custody, 1), "it is about another approval") }
        let requester = CustodyRecord.Signer(
            principal: approval.requester,
            fingerprint: approval.requesterFingerprint
        )
        let approver = CustodyRecord.Signer(
            principal: approval.approver,
            fingerprint: approval.approverFingerprint
        )
        guard event.requester == requester, event.approver == approver else {
            throw .fault(.line(.custody, 1), "it names other signers than the signatures have")
        }
        guard ticket == ascii(approval.ticket) else {
            throw .fault(.file(.information), "External-Identifier is not the approval's ticket")
        }
    }

    /// Text in printable ASCII, everything else as `\xNN`.
    private func ascii(_ text: String) -> String {
        var shown = ""
        for byte in text.utf8 {
            if 0x20...0x7E ~= byte, byte != UInt8(ascii: "\\") {
                shown.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                shown += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        return shown
    }

    private func compare(_ approval: Approval, _ source: SourceRecord) throws(BagStop) {
        switch approval.subject {
        case .instance(let uuid):
            guard source.instance != uuid else { return }
            let taken = source.instance.map { "instance \(GuestName.escaped(Array($0.utf8)))" }
            throw .fault(
                .file(.approval),
                "it is for instance \(uuid), but this was taken from \(taken ?? "a loose image")"
            )
        case .image(let layers):
            guard !source.layers.contains(where: { $0 == layers.map { $0 } }) else { return }
            throw .fault(.file(.approval), "it is for an image of other digests")
        }
    }

    func scope() throws(BagStop) -> Outcome {
        guard let pass, let custody else { throw Self.unreached }
        guard custody.approval != nil else { return (.notDone, "there is no approval") }
        if let outside = pass.outside { throw .fault(outside) }
        return (.passed, "all \(pass.counts.entries) entries lie inside")
    }

    /// The operator's signature of the tag manifest, and with it of everything.
    func seal(_ verdict: inout BagVerdict) throws(BagStop) -> Outcome {
        guard let custody else { throw Self.unreached }
        guard has(.signature) else {
            guard !has(.approval) else {
                throw .fault(.file(.signature), "it is missing, but there is an approval")
            }
            guard verification.allowsUnsigned else {
                throw .fault(
                    .file(.signature),
                    "nobody signed the bag (--allow-unsigned accepts that)"
                )
            }
            return (.notDone, "nobody signed the bag")
        }
        guard let signature = SSHSignature(text(.signature)) else {
            throw .fault(.file(.signature), "it is not exactly what ssh-keygen writes")
        }
        let trust = verification.trust
        guard let list = trust.operators ?? .unvouched(signature.key, as: "operator") else {
            throw .fault(.file(.signature), "its key is of no kind that is known")
        }
        let signer: SignerList.Signer
        do throws(SignatureError) {
            signer = try SSHKeygen.verify(
                text(.tagManifest),
                signature,
                for: .bag,
                by: list,
                revoked: trust.revoked,
                at: custody.sealedAt
            )
        } catch {
            let words = ApprovalError.signature(.bag, error).description
            throw .fault(.file(.signature), Self.sentence(words))
        }
        let principal = trust.operators.map { _ in signer.principal }
        verdict.operatorKey = BagKey(
            principal: principal,
            fingerprint: signature.key.fingerprint
        )
        return (.passed, "by \(principal ?? "the key") \(signature.key.fingerprint)")
    }

    /// Whether the lists name every key.
    func checkTrust() throws(BagStop) -> Outcome {
        let trust = verification.trust
        var nobody: [String] = []
        if let document, trust.requesters == nil {
            nobody.append("the requester's key \(document.requester.fingerprint)")
        }
        if let document, trust.approvers == nil {
            nobody.append("the approver's key \(document.approver.fingerprint)")
        }
        if let key = SSHSignature(text(.signature))?.key, trust.operators == nil {
            nobody.append("the operator's key \(key.fingerprint)")
        }
        guard nobody.isEmpty else {
            throw .fault(
                .bag,
                "the signatures fit, but nobody vouches for \(nobody.joined(separator: ", ")): give "
                    + "lists of signers"
            )
        }
        guard has(.signature) else { return (.notDone, "there is no signature") }
        return (.passed, "every key is on its list (\(trust.origin))")
    }
}
