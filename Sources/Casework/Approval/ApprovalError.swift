package import DiskFormats
package import JSON

/// Why an approval does not count.
package enum ApprovalError: Error, Equatable, Sendable {
    /// The document is not of the schema.
    case document(JSONError)
    /// A signature does not count.
    case signature(SignaturePurpose, SignatureError)
    /// A signature is somebody else's than the document says.
    case otherSigner(SignaturePurpose, signed: String, named: String)
    /// Requester and approver signed with one key.
    case sameKey(fingerprint: String)
    /// Requester and approver bear one name.
    case sameName(String)
    /// Not valid yet.
    case early(notBefore: Timestamp)
    /// No longer valid.
    case expired(Timestamp)
    /// Valid for longer than the policy allows.
    case longWindow(hoursMax: Int)
}

extension ApprovalError: CustomStringConvertible {
    /// A sentence.
    package var description: String {
        switch self {
        case .document(let error):
            "The approval document is not valid: \(error)."
        case .signature(let purpose, let error):
            Self.describe(purpose, error)
        case .otherSigner(let purpose, let signed, let named):
            "The \(purpose.signer)'s signature is \(signed)'s, but the document names \(named)."
        case .sameKey(let fingerprint):
            "Requester and approver signed with the same key (\(fingerprint)): nobody approves "
                + "what they asked for themselves."
        case .sameName(let name):
            "Requester and approver are both \(name): nobody approves what they asked for themselves."
        case .early(let notBefore):
            "The approval is not valid yet: it begins at \(notBefore.inSeconds)."
        case .expired(let expiry):
            "The approval has expired at \(expiry.inSeconds)."
        case .longWindow(let hours):
            "The approval is valid for longer than the \(hours) hours that the policy allows."
        }
    }

    private static func describe(_ purpose: SignaturePurpose, _ error: SignatureError) -> String {
        let whose = "The \(purpose.signer)'s signature"
        return switch error {
        case .malformed:
            "\(whose) is not exactly what ssh-keygen writes: something was changed or added."
        case .wrongNamespace(let namespace):
            "\(whose) was made for \(GuestName.escaped(Array(namespace.utf8))), "
                + "not for \(purpose.rawValue)."
        case .unknownKey(let fingerprint):
            "\(whose) is by a key that is on no list of \(purpose.signer)s (\(fingerprint))."
        case .revoked(let signer):
            "\(whose) is by a key of \(signer) that is revoked."
        case .rejected(let signer, let words):
            "\(whose) by \(signer) does not fit the document: \(words)."
        case .notSigned(let words):
            "\(whose) could not be made: \(words)."
        case .system(let error):
            "\(whose) cannot be checked: \(error)."
        }
    }
}

extension SignaturePurpose {
    /// Who makes such a signature.
    package var signer: String {
        switch self {
        case .request: "requester"
        case .approval: "approver"
        case .bag: "operator"
        }
    }
}
