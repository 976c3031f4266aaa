package import Digests
package import DiskFormats
package import Linux

/// What an approval contributes to a bag.
package struct BagAuthority: Sendable {
    /// Somebody who has signed.
    package struct Signer: Sendable {
        /// Who it is, by the list of signers.
        package let principal: String
        /// The key, as ssh-keygen prints it.
        package let fingerprint: String

        package init(principal: String, fingerprint: String) {
            self.principal = principal
            self.fingerprint = fingerprint
        }
    }

    /// The uuid of the document.
    package var id: String
    /// The ticket that it belongs to.
    package var ticket: String
    /// Why.
    package var reason: String
    /// The document, byte for byte as it was verified.
    package var document: [UInt8]
    /// The requester's signature, as ssh-keygen wrote it.
    package var requestSignature: [UInt8]
    /// The approver's signature, as ssh-keygen wrote it.
    package var approvalSignature: [UInt8]
    /// Who asked.
    package var requester: Signer
    /// Who allowed it.
    package var approver: Signer
    /// When it was verified.
    package var verified: Timestamp
    /// Until when it holds, for the report.
    package var expires: Timestamp
    /// Digests of the policy and of its lists.
    package var policy: Digest?
    package var requesters: Digest?
    package var approvers: Digest?
    package var operators: Digest?
    package var revoked: Digest?
    /// Digests of layers, where the approval names the image by them.
    package var layers: [FileStatus.Identity: Digest] = [:]

    package init(
        id: String,
        ticket: String,
        reason: String,
        document: [UInt8],
        requestSignature: [UInt8],
        approvalSignature: [UInt8],
        requester: Signer,
        approver: Signer,
        verified: Timestamp,
        expires: Timestamp
    ) {
        self.id = id
        self.ticket = ticket
        self.reason = reason
        self.document = document
        self.requestSignature = requestSignature
        self.approvalSignature = approvalSignature
        self.requester = requester
        self.approver = approver
        self.verified = verified
        self.expires = expires
    }
}

extension BagAuthority {
    /// What a verified approval contributes; `layers` are those of the image, where it names one by
    /// the digests of its layers.
    package init(_ approval: Approval, layers: [DiskLayer]) {
        self.init(
            id: approval.id,
            ticket: approval.ticket,
            reason: approval.reason,
            document: approval.document,
            requestSignature: approval.requestSignature.armour,
            approvalSignature: approval.approvalSignature.armour,
            requester: Signer(
                principal: approval.requester,
                fingerprint: approval.requesterFingerprint
            ),
            approver: Signer(
                principal: approval.approver,
                fingerprint: approval.approverFingerprint
            ),
            verified: approval.verified,
            expires: approval.expires
        )
        func digest(_ name: String) -> Digest? {
            approval.listDigests.first { $0.name == name }?.digest
        }
        policy = approval.policyDigest
        requesters = digest("requesters")
        approvers = digest("approvers")
        operators = digest("operators")
        revoked = digest("revoked")
        if case .image(let digests) = approval.subject {
            for (layer, digest) in zip(layers, digests) { self.layers[layer.identity] = digest }
        }
    }
}
