internal import Glibc
internal import Linux

/// The approval document in a file, and the signatures beside it; each is read once.
package struct ApprovalFiles: Sendable {
    /// The document's bytes.
    package let document: [UInt8]
    /// Those of `FILE.request.sig`.
    package let requestSignature: [UInt8]
    /// Those of `FILE.approval.sig`.
    package let approvalSignature: [UInt8]

    /// Where the requester's signature of the document at `path` is.
    package static func requestPath(_ path: String) -> String { "\(path).request.sig" }
    /// Where the approver's signature of the document at `path` is.
    package static func approvalPath(_ path: String) -> String { "\(path).approval.sig" }

    /// Reads all three.
    package init(_ path: String) throws(GloveboxError) {
        document = try Self.document(at: path)
        requestSignature = try Self.requestSignature(at: path)
        guard let bytes = try Self.content(Self.approvalPath(path), SSHSignature.armourBytesMax)
        else {
            throw GloveboxError(
                .refused,
                "\(path) has not been approved: \(Self.approvalPath(path)) is missing.",
                advice: "The approver signs it: glovebox approve sign \(path) --key KEY"
            )
        }
        approvalSignature = bytes
    }

    /// The document alone.
    package static func document(at path: String) throws(GloveboxError) -> [UInt8] {
        guard let bytes = try content(path, ApprovalDocument.byteCountMax) else {
            throw GloveboxError(.refused, "There is no approval \(path).")
        }
        return bytes
    }

    /// The requester's signature of the document at `path`.
    package static func requestSignature(at path: String) throws(GloveboxError) -> [UInt8] {
        guard let bytes = try content(requestPath(path), SSHSignature.armourBytesMax) else {
            throw GloveboxError(
                .refused,
                "\(path) is nobody's request: \(requestPath(path)) is missing.",
                advice: "`glovebox approve request` writes both."
            )
        }
        return bytes
    }

    /// The signature in `path`; nil where there is none.
    package static func signature(at path: String) throws(GloveboxError) -> [UInt8]? {
        try content(path, SSHSignature.armourBytesMax)
    }

    /// Nil where there is no such file.
    private static func content(_ path: String, _ limit: Int) throws(GloveboxError) -> [UInt8]? {
        let problem: String
        do throws(SystemError) {
            let file = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
            let kind = try file.status().kind
            if kind == .regular { return try file.readAll(limit: limit) }
            problem = "it is a \(kind.rawValue)"
        } catch {
            if error.errno == ENOENT { return nil }
            problem =
                error.errno == EFBIG ? "it has more than \(limit) bytes" : "\(error.reason)"
        }
        throw GloveboxError(.refused, "\(path) cannot be read as an approval: \(problem).")
    }
}
