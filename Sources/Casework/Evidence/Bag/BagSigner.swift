/// The operator's key, which has proved that it can sign without anybody's help.
package struct BagSigner: Sendable {
    /// The key, as ssh-keygen prints it.
    package let fingerprint: String
    private let key: String
    private let agent: String?

    /// Tries the key in the file `key`, or the agent's where that is a public key.
    ///
    /// It is tried on a text that is no bag, so that an extraction of hours does not end for want of
    /// a passphrase.
    package init(key: String, agent: String?) throws(GloveboxError) {
        self.key = key
        self.agent = agent
        let probe = Array("glovebox: can this key sign?\n".utf8)
        do throws(SignatureError) {
            let signature = try SSHKeygen.sign(
                probe,
                for: .bag,
                key: key,
                agent: agent,
                mayAsk: false
            )
            fingerprint = signature.key.fingerprint
        } catch {
            throw GloveboxError(
                .usage,
                "\(key) cannot sign: \(error.reason).",
                advice: "Give --sign-key a private key without a passphrase, or a public key whose "
                    + "private half your agent (SSH_AUTH_SOCK) holds. Nothing was extracted."
            )
        }
    }

    /// The signature of `data`, as ssh-keygen writes it.
    func sign(_ data: [UInt8]) throws(GloveboxError) -> [UInt8] {
        do throws(SignatureError) {
            return try SSHKeygen.sign(data, for: .bag, key: key, agent: agent, mayAsk: false)
                .armour
        } catch {
            throw GloveboxError(
                .unreadable,
                "The bag could not be signed with \(key): \(error.reason). Nothing was left behind."
            )
        }
    }
}

extension SignatureError {
    fileprivate var reason: String {
        switch self {
        case .notSigned(let text), .rejected(_, let text): text
        case .system(let error): "\(error)"
        case .malformed, .wrongNamespace, .unknownKey, .revoked: "ssh-keygen made something else"
        }
    }
}
