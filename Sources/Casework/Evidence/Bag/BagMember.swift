/// A file of a bag; the cases stand in the order of the tar form.
enum BagMember: String, CaseIterable, Sendable {
    case files = "data/files.tar"
    case records = "data/files.jsonl"
    case source = "data/source.json"
    case approval = "data/approval.json"
    case requestSignature = "data/approval.json.request.sig"
    case approvalSignature = "data/approval.json.approval.sig"
    case custody = "data/custody.jsonl"
    case report = "report.html"
    case information = "bag-info.txt"
    case declaration = "bagit.txt"
    case manifest = "manifest-sha256.txt"
    case tagManifest = "tagmanifest-sha256.txt"
    case signature = "tagmanifest-sha256.txt.sig"

    /// Whether it is payload, which the manifest lists.
    var isPayload: Bool { rawValue.hasPrefix("data/") }

    /// The name without its directory.
    var name: [UInt8] { [UInt8](rawValue.dropFirst(isPayload ? 5 : 0).utf8) }

    /// What the tag manifest lists, in its order.
    static let tags: [BagMember] = [.declaration, .information, .manifest, .report]
}
