internal import Casework
internal import Digests
internal import DiskFormats
internal import JSON

/// What an approval document says, for people and as JSON; judges nothing.
struct ApprovalReport {
    private let file: String
    private let document: ApprovalDocument
    private let digest: Digest
    private let request: Signing
    private let approval: Signing
    /// What is known of the requester's key; empty where nobody asked.
    private let voucher: String

    /// What there is of a signature.
    private enum Signing {
        case none
        case malformed
        case by(SSHSignature)
    }

    /// Reads the document and, as far as they are there, its signatures.
    init(reading file: String) throws(GloveboxError) {
        self.file = file
        voucher = ""
        let bytes = try ApprovalFiles.document(at: file)
        do throws(JSONError) { document = try ApprovalDocument(bytes) } catch {
            throw GloveboxError(.refused, ApprovalError.document(error).description)
        }
        digest = Digest(of: bytes)
        request = Self.signing(try ApprovalFiles.signature(at: ApprovalFiles.requestPath(file)))
        approval = Self.signing(try ApprovalFiles.signature(at: ApprovalFiles.approvalPath(file)))
    }

    /// Describes a request that is about to be signed.
    init(_ request: SignedRequest) {
        file = request.path
        voucher =
            request.isVouchedFor
            ? "as this host's list has it"
            : "which nobody vouches for here: this host has no policy"
        document = request.document
        digest = Digest(of: request.bytes)
        self.request = .by(request.signature)
        approval = .none
    }

    private static func signing(_ armour: [UInt8]?) -> Signing {
        guard let armour else { return .none }
        return SSHSignature(armour).map(Signing.by) ?? .malformed
    }

    /// A line for each thing.
    var text: String {
        var lines = [
            "Approval   \(document.id)", "Ticket     \(document.ticket)",
            "Reason     \(document.reason)", "Requester  \(document.requester)",
            "           \(Self.text(request))", "Approver   \(document.approver)",
            "           \(Self.text(approval))",
        ]
        if !voucher.isEmpty { lines.insert("           \(voucher)", at: 5) }
        switch document.subject {
        case .instance(let uuid): lines.append("Instance   \(uuid)")
        case .image(let layers):
            for (index, layer) in layers.enumerated() {
                lines.append("\(index == 0 ? "Image      " : "  backed by") sha256 \(layer)")
            }
        }
        lines.append("Actions    \(document.actions.map(\.rawValue).joined(separator: ", "))")
        for (index, pattern) in document.scope.patterns.enumerated() {
            lines.append("\(index == 0 ? "Scope      " : "           ")\(pattern.text)")
            if let spelled = pattern.spelledOut {
                lines.append("           ! not ASCII, may look like another: \(spelled)")
            }
        }
        lines.append("Valid      \(document.notBefore.inSeconds) to \(document.expires.inSeconds)")
        lines.append("SHA-256    \(digest)")
        return lines.joined(separator: "\n") + "\n"
    }

    private static func text(_ signing: Signing) -> String {
        switch signing {
        case .none: "has not signed"
        case .malformed: "a signature that is none"
        case .by(let signature):
            "signed with \(signature.key.fingerprint) (\(signature.key.type))"
                + " for \(GuestName.escaped(Array(signature.namespace.utf8)))"
        }
    }

    /// Schema `glovebox.approve-show/1`.
    var json: [UInt8] {
        var json = JSONText()
        json.object { json in
            json.member("schema", "glovebox.approve-show/1")
            json.member("file", base64: "file_base64", host: file)
            json.member("sha256", "\(digest)")
            json.member("id", document.id)
            json.member("ticket", document.ticket)
            json.member("reason", document.reason)
            switch document.subject {
            case .instance(let uuid): json.member("instance", uuid)
            case .image(let layers):
                json.key("layers")
                json.array { json in for layer in layers { json.string("\(layer)") } }
            }
            json.key("scope")
            json.array { json in
                for pattern in document.scope.patterns { json.string(pattern.text) }
            }
            json.key("actions")
            json.array { json in for action in document.actions { json.string(action.rawValue) } }
            json.member("not_before", document.notBefore.inSeconds)
            json.member("expires", document.expires.inSeconds)
            json.member("requester", document.requester)
            json.key("request_signature")
            Self.write(request, to: &json)
            json.member("approver", document.approver)
            json.key("approval_signature")
            Self.write(approval, to: &json)
        }
        json.endLine()
        return json.bytes
    }

    private static func write(_ signing: Signing, to json: inout JSONText) {
        json.object { json in
            switch signing {
            case .none: json.member(plain: "state", "missing")
            case .malformed: json.member(plain: "state", "malformed")
            case .by(let signature):
                json.member(plain: "state", "present")
                json.member("fingerprint", signature.key.fingerprint)
                json.member("type", signature.key.type)
                json.member("namespace", signature.namespace)
            }
        }
    }
}
