internal import Digests
internal import JSON

/// Whose keys count, as far as it is known; for verification only.
package struct BagTrust: Sendable {
    /// Who may ask.
    package var requesters: SignerList?
    /// Who may allow.
    package var approvers: SignerList?
    /// Who may sign bags.
    package var operators: SignerList?
    /// Revoked keys, one a line, or a KRL.
    package var revoked: [UInt8]?
    /// The longest that an approval may be valid, in hours.
    package var approvalHoursMax: Int?
    /// Where the lists come from, for people.
    package var origin: String

    /// Creates lists; operators may ask where nobody else is named for it.
    package init(
        requesters: SignerList? = nil,
        approvers: SignerList? = nil,
        operators: SignerList? = nil,
        revoked: [UInt8]? = nil,
        approvalHoursMax: Int? = nil,
        origin: String
    ) {
        self.requesters = requesters ?? operators
        self.approvers = approvers
        self.operators = operators
        self.revoked = revoked
        self.approvalHoursMax = approvalHoursMax
        self.origin = origin
    }

    /// The lists of a policy.
    package init(_ lists: TrustLists, origin: String) {
        self.init(
            requesters: lists.requesters,
            approvers: lists.approvers,
            operators: lists.operators,
            revoked: lists.revoked,
            approvalHoursMax: lists.approvalHoursMax,
            origin: origin
        )
    }
}

extension SignerList {
    /// A list that says of a key that it is `principal`'s: with it a signature can be checked where
    /// nobody vouches for its key.
    static func unvouched(_ key: SSHPublicKey, as principal: String) -> SignerList? {
        var line = Array("\(principal) \(key.type) ".utf8)
        Base64.append(key.blob, to: &line)
        return try? SignerList(line)
    }
}
