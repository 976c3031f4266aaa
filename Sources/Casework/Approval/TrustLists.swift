package import Digests

/// Whose signatures count, as read once from the policy's files, or given to `glovebox verify`.
package struct TrustLists: Sendable {
    /// Who may ask.
    package var requesters: SignerList
    /// Who may allow.
    package var approvers: SignerList
    /// Who may sign bags, where that is known.
    package var operators: SignerList?
    /// Revoked keys, one a line, or a KRL.
    package var revoked: [UInt8]?
    /// The longest that an approval may be valid, in hours.
    package var approvalHoursMax: Int?
    /// What the policy's file was, where there is one.
    package var policyDigest: Digest?
    /// What the lists were, by their names in the policy.
    package var digests: [(name: String, digest: Digest)]

    /// Creates lists.
    package init(
        requesters: SignerList,
        approvers: SignerList,
        operators: SignerList? = nil,
        revoked: [UInt8]? = nil,
        approvalHoursMax: Int? = nil,
        policyDigest: Digest? = nil,
        digests: [(name: String, digest: Digest)] = []
    ) {
        self.requesters = requesters
        self.approvers = approvers
        self.operators = operators
        self.revoked = revoked
        self.approvalHoursMax = approvalHoursMax
        self.policyDigest = policyDigest
        self.digests = digests
    }
}
