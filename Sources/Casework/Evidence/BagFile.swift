/// A file of a bag; in the order in which the tar form holds them.
package enum BagFile: String, CaseIterable, Sendable {
    case archive = "data/files.tar"
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

    /// The folder of the payload.
    package static let payloadFolder = "data"

    /// Whether it is payload, which the manifest lists.
    package var isPayload: Bool { rawValue.hasPrefix("data/") }

    /// What the manifest of the tag files lists, in its order.
    package static let tagged: [BagFile] = [.declaration, .information, .manifest, .report]

    /// The three files of an approval, which are all there or none.
    package static let ofApproval: [BagFile] = [.approval, .requestSignature, .approvalSignature]

    /// Whether a bag may lack it.
    package var isOptional: Bool { Self.ofApproval.contains(self) || self == .signature }

    /// The largest that is read into memory; nil where it is only read piece by piece.
    package var byteCountMax: Int? {
        switch self {
        case .archive, .records, .report: nil
        case .source: 4 << 20
        case .custody: 4 << 20
        case .approval: 64 << 10
        case .requestSignature, .approvalSignature, .signature: SSHSignature.armourBytesMax
        case .information: 128 << 10
        case .declaration, .manifest, .tagManifest: 4 << 10
        }
    }

    /// The part of the name after the folder.
    package var name: String { isPayload ? String(rawValue.dropFirst(5)) : rawValue }
}
