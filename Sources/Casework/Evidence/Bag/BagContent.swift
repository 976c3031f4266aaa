internal import Digests
internal import DiskFormats

/// The files of a bag: of the large two what the manifest says of them, the others whole.
struct BagContent {
    /// The files that are held whole, in the order in which they are written.
    private(set) var small: [(member: BagFile, bytes: [UInt8])] = []
    private var entries: [(member: BagFile, digest: Digest, byteCount: UInt64)]

    init(
        _ archive: (digest: Digest, byteCount: UInt64),
        _ records: (digest: Digest, byteCount: UInt64)
    ) {
        entries = [
            (.archive, archive.digest, archive.byteCount),
            (.records, records.digest, records.byteCount),
        ]
    }

    mutating func add(_ member: BagFile, _ bytes: [UInt8]) {
        small.append((member, bytes))
        entries.append((member, Digest(of: bytes), UInt64(bytes.count)))
    }

    /// The payload, for the report.
    var payload: [(name: String, digest: Digest, byteCount: UInt64)] {
        entries.filter(\.member.isPayload).map { ($0.member.rawValue, $0.digest, $0.byteCount) }
    }

    func bytes(of member: BagFile) -> [UInt8] {
        small.first { $0.member == member }?.bytes ?? []
    }

    func digest(of member: BagFile) -> Digest {
        entries.first { $0.member == member }?.digest ?? .zero
    }

    /// Adds BagIt's own files, which speak of what is there by then.
    mutating func addTags(name: String, _ context: BagContext, _ time: Timestamp) {
        add(.information, information(name: name, context, time))
        let declaration = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
        add(.declaration, Array(declaration.utf8))
        add(.manifest, manifest(BagFile.allCases.filter(\.isPayload)))
        add(.tagManifest, manifest(BagFile.tagged))
    }

    private func information(name: String, _ context: BagContext, _ time: Timestamp) -> [UInt8] {
        let payload = entries.filter(\.member.isPayload)
        let bytes = payload.reduce(UInt64(0)) { $0 + $1.byteCount }
        var lines = [
            "Bag-Software-Agent: \(context.program)",
            "Bagging-Date: \(time.iso8601.prefix(10))",
        ]
        if let ticket = context.authority?.ticket {
            lines.append("External-Identifier: \(Self.ascii(ticket))")
        }
        lines.append("Internal-Sender-Identifier: \(name)")
        lines.append("Payload-Oxum: \(bytes).\(payload.count)")
        return lines.flatMap { Array("\($0)\n".utf8) }
    }

    private static func ascii(_ text: String) -> String {
        text.utf8.map { byte -> String in
            if 0x20...0x7E ~= byte, byte != UInt8(ascii: "\\") {
                return String(UnicodeScalar(byte))
            }
            return "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }

    private func manifest(_ members: [BagFile]) -> [UInt8] {
        members.flatMap { member -> [UInt8] in
            guard let entry = entries.first(where: { $0.member == member }) else { return [] }
            return Array("\(entry.digest)  \(member.rawValue)\n".utf8)
        }
    }
}
