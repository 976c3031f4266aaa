/// LUKS 1 and 2, by their primary header.
///
/// Layout: LUKS1 On-Disk Format Specification 1.2.3; LUKS2 On-Disk Format Specification 1.1.4.
enum LUKSSignature: SignatureFamily {
    private static let magic: [UInt8] = [0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE]

    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature? {
        let header = try volume.bytes(at: 0, count: 512)
        guard header.starts(with: magic) else { return nil }
        let span = header.span
        let raw = span.raw
        let version = try raw.be(UInt16.self, at: 6)
        var signature = VolumeSignature(
            type: "crypto_LUKS",
            usage: .crypto,
            version: String(version)
        )
        switch version {
        case 1: break
        case 2:
            // A header that says that it belongs elsewhere is a leftover.
            guard try raw.be(UInt64.self, at: 0x100) == 0 else { return nil }
            signature.label = IdentifierText.label(try raw.array(at: 24, count: 48))
        default: return signature
        }
        signature.uuid = IdentifierText.printable(try raw.array(at: 168, count: 40))
        return signature
    }
}
