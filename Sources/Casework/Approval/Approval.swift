package import Digests
public import DiskFormats
internal import JSON

/// That somebody asked and somebody else allowed: comes from verification only.
///
/// Both signatures are over ``document``, the very bytes that were parsed, and were made by two keys.
public struct Approval: Sendable {
    /// The uuid of the document.
    public let id: String
    /// The ticket that it belongs to.
    public let ticket: String
    /// The document, byte for byte as it was signed.
    public let document: [UInt8]
    /// Who asked.
    public let requester: String
    /// Who allowed it.
    public let approver: String
    /// The requester's key, as ssh-keygen prints it.
    public let requesterFingerprint: String
    /// The approver's key, as ssh-keygen prints it.
    public let approverFingerprint: String
    /// What may be done.
    public let actions: [Purpose]
    /// Why.
    public let reason: String
    /// Valid from here on.
    public let notBefore: Timestamp
    /// No longer valid from here on.
    public let expires: Timestamp

    /// The requester's signature.
    package let requestSignature: SSHSignature
    /// The approver's signature.
    package let approvalSignature: SSHSignature
    /// What it is about.
    package let subject: ApprovalDocument.Subject
    /// Which files it is about.
    package let scope: Scope
    /// The digest of ``document``.
    package let documentDigest: Digest
    /// The digest of the policy, where there was one.
    package let policyDigest: Digest?
    /// The digests of the lists, by their names in the policy.
    package let listDigests: [(name: String, digest: Digest)]

    // Not for anybody else: this is what makes an approval worth something.
    fileprivate init(
        _ parsed: ApprovalDocument,
        _ document: [UInt8],
        _ requestSignature: SSHSignature,
        _ approvalSignature: SSHSignature,
        _ lists: TrustLists
    ) {
        id = parsed.id
        ticket = parsed.ticket
        self.document = document
        requester = parsed.requester
        approver = parsed.approver
        requesterFingerprint = requestSignature.key.fingerprint
        approverFingerprint = approvalSignature.key.fingerprint
        actions = parsed.actions
        reason = parsed.reason
        notBefore = parsed.notBefore
        expires = parsed.expires
        self.requestSignature = requestSignature
        self.approvalSignature = approvalSignature
        subject = parsed.subject
        scope = parsed.scope
        documentDigest = Digest(of: document)
        policyDigest = lists.policyDigest
        listDigests = lists.digests
    }
}

/// Decides what may be opened.
package enum ApprovalGate {
    /// Verifies an approval from its bytes, as it stands at `time`.
    ///
    /// The bytes that were verified are the bytes that are parsed: callers read each file once, and
    /// ssh-keygen gets a copy in memory, so that nobody can exchange a file in between.
    package static func verify(
        document: [UInt8],
        requestSignature: [UInt8],
        approvalSignature: [UInt8],
        lists: TrustLists,
        at time: Timestamp
    ) throws(ApprovalError) -> Approval {
        let parsed = try parse(document)
        let request = try signature(
            document,
            requestSignature,
            .request,
            lists.requesters,
            lists,
            named: parsed.requester,
            time
        )
        let approval = try signature(
            document,
            approvalSignature,
            .approval,
            lists.approvers,
            lists,
            named: parsed.approver,
            time
        )
        guard request.key != approval.key else {
            throw .sameKey(fingerprint: request.key.fingerprint)
        }
        guard Array(parsed.requester.utf8) != Array(parsed.approver.utf8) else {
            throw .sameName(parsed.requester)
        }
        try checkWindow(parsed, lists, time)
        return Approval(parsed, document, request, approval, lists)
    }

    /// Reads a request: a document, and a signature that fits it and, by `lists`, is the requester's;
    /// without lists anybody's.
    static func request(
        _ document: [UInt8],
        _ armour: [UInt8],
        _ lists: TrustLists?
    ) throws(ApprovalError) -> (ApprovalDocument, SSHSignature) {
        let parsed = try parse(document)
        guard let signature = SSHSignature(armour) else { throw .signature(.request, .malformed) }
        let anybody = SignerList(of: signature.key, as: parsed.requester)
        let lists = lists ?? TrustLists(requesters: anybody, approvers: anybody)
        _ = try Self.signature(
            document,
            armour,
            .request,
            lists.requesters,
            lists,
            named: parsed.requester,
            .now
        )
        return (parsed, signature)
    }

    private static func parse(_ document: [UInt8]) throws(ApprovalError) -> ApprovalDocument {
        do throws(JSONError) { return try ApprovalDocument(document) } catch {
            throw .document(error)
        }
    }

    private static func signature(
        _ document: [UInt8],
        _ armour: [UInt8],
        _ purpose: SignaturePurpose,
        _ list: SignerList,
        _ lists: TrustLists,
        named name: String,
        _ time: Timestamp
    ) throws(ApprovalError) -> SSHSignature {
        guard let signature = SSHSignature(armour) else { throw .signature(purpose, .malformed) }
        let signer: SignerList.Signer
        do throws(SignatureError) {
            signer = try SSHKeygen.verify(
                document,
                signature,
                for: purpose,
                by: list,
                revoked: lists.revoked,
                at: time
            )
        } catch {
            throw .signature(purpose, error)
        }
        guard Array(signer.principal.utf8) == Array(name.utf8) else {
            throw .otherSigner(purpose, signed: signer.principal, named: name)
        }
        return signature
    }

    private static func checkWindow(
        _ document: ApprovalDocument,
        _ lists: TrustLists,
        _ time: Timestamp
    ) throws(ApprovalError) {
        let seconds = document.expires.seconds - document.notBefore.seconds
        if let hours = lists.approvalHoursMax, seconds > Int64(clamping: hours) * 3600 {
            throw .longWindow(hoursMax: hours)
        }
        guard time >= document.notBefore else { throw .early(notBefore: document.notBefore) }
        guard time < document.expires else { throw .expired(document.expires) }
    }
}
