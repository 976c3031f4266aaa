internal import DiskFormats
internal import JSON
internal import Linux

/// Makes the files of an approval.
package enum ApprovalSigning {
    /// Writes `document` and the requester's signature of it; neither file may exist.
    package static func request(
        _ document: ApprovalDocument,
        key: String,
        to path: String
    ) throws(GloveboxError) {
        let bytes = document.text
        do throws(JSONError) { _ = try ApprovalDocument(bytes) } catch {
            throw GloveboxError(.usage, "This cannot be asked for: \(error).")
        }
        let signature = try sign(bytes, for: .request, key: key)
        try write(bytes, to: path)
        try write(signature.armour, to: ApprovalFiles.requestPath(path))
    }

    /// Signs what is in `request` as the approver, and writes the signature beside the document.
    package static func approve(
        _ request: SignedRequest,
        key: String
    ) throws(GloveboxError) -> SSHSignature {
        let signature = try sign(request.bytes, for: .approval, key: key)
        guard signature.key != request.signature.key else {
            throw GloveboxError(
                .refused,
                ApprovalError.sameKey(fingerprint: signature.key.fingerprint).description
            )
        }
        try write(signature.armour, to: ApprovalFiles.approvalPath(request.path))
        return signature
    }

    private static func sign(
        _ bytes: [UInt8],
        for purpose: SignaturePurpose,
        key: String
    ) throws(GloveboxError) -> SSHSignature {
        do throws(SignatureError) {
            return try SSHKeygen.sign(
                bytes,
                for: purpose,
                key: key,
                agent: OwnProcess.variable("SSH_AUTH_SOCK")
            )
        } catch {
            throw GloveboxError(
                .refused,
                ApprovalError.signature(purpose, error).description,
                advice: "KEY is a private key of ssh-keygen, or a public one whose other half the "
                    + "agent has."
            )
        }
    }

    /// Readable by others, who are to sign it; it holds nothing of a guest.
    private static func write(_ bytes: [UInt8], to path: String) throws(GloveboxError) {
        do throws(SystemError) {
            let file = try PendingFile(path)
            do throws(SystemError) {
                try file.descriptor.setPermissions(0o644)
                let span = bytes.span
                try file.descriptor.write(span.raw, at: 0)
            } catch {
                file.discard()
                throw error
            }
            try file.publish()
        } catch {
            throw GloveboxError(.usage, "\(path) cannot be written: \(error).")
        }
    }

    /// Whose line on this host's list of requesters has the public key of `key`.
    package static func requester(with key: String) throws(GloveboxError) -> String {
        let advice = "Say who asks: --requester NAME, as the list of requesters has it."
        let publicKey = [key, "\(key).pub"].lazy.compactMap(publicKey(in:)).first
        guard let publicKey else {
            throw GloveboxError(.usage, "\(key) has no public key beside it.", advice: advice)
        }
        guard let policy = try ApprovalGate.hostPolicy().policy else {
            throw GloveboxError(.usage, "This host has no list of requesters.", advice: advice)
        }
        let lists = try ApprovalGate.lists(of: policy)
        guard let signer = lists.requesters.signer(with: publicKey) else {
            throw GloveboxError(
                .refused,
                "The key \(publicKey.fingerprint) is on no list of requesters."
            )
        }
        return signer.principal
    }

    private static func publicKey(in path: String) -> SSHPublicKey? {
        guard let text = try? fileContent(path, limit: SSHSignature.armourBytesMax) else {
            return nil
        }
        let fields = text.split(whereSeparator: { $0 == 0x20 || $0 == 0x0A })
        guard fields.count >= 2 else { return nil }
        return Base64.decode(Array(fields[1])).flatMap(SSHPublicKey.init)
    }
}

/// A document with a signature of a requester that fits it, whoever that is.
package struct SignedRequest: Sendable {
    /// The document's file.
    package let path: String
    /// What was signed, as read once.
    package let bytes: [UInt8]
    /// What it says.
    package let document: ApprovalDocument
    /// The requester's signature.
    package let signature: SSHSignature
    /// Whether this host's list says that the key is the requester's; it has none without a policy.
    package let isVouchedFor: Bool

    /// Reads the request at `path`, and refuses one whose signature does not fit, or is somebody
    /// else's by this host's lists.
    package init(_ path: String) throws(GloveboxError) {
        self.path = path
        let bytes = try ApprovalFiles.document(at: path)
        let armour = try ApprovalFiles.requestSignature(at: path)
        let lists = try ApprovalGate.hostPolicy().policy.map { (policy) throws(GloveboxError) in
            try ApprovalGate.lists(of: policy)
        }
        do throws(ApprovalError) {
            (document, signature) = try ApprovalGate.request(bytes, armour, lists)
        } catch {
            throw GloveboxError(.refused, error.description)
        }
        self.bytes = bytes
        isVouchedFor = lists != nil
    }
}
