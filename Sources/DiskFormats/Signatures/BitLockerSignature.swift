/// BitLocker, as Windows Vista, Windows 7 and later, and "BitLocker To Go" write it.
///
/// Layout: libbde, "BitLocker Drive Encryption (BDE) format specification".
enum BitLockerSignature: SignatureFamily {
    private static let metadataHeader = 64
    /// The metadata of a volume fits into 64 KiB, the size of each of its three copies.
    private static let maximumMetadata: UInt32 = 0x10000
    private static let description: UInt16 = 7
    private static let string: UInt16 = 2

    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature? {
        let bootSector = try volume.bytes(at: 0, count: 512)
        let span = bootSector.span
        let raw = span.raw
        let metadata: UInt64
        switch (Array(bootSector[0..<3]), Array(bootSector[3..<11])) {
        case ([0xEB, 0x52, 0x90], Array("-FVE-FS-".utf8)):
            return VolumeSignature(type: "BitLocker", usage: .crypto)
        case ([0xEB, 0x58, 0x90], Array("-FVE-FS-".utf8)): metadata = try raw.u64(at: 176)
        case ([0xEB, 0x58, 0x90], Array("MSWIN4.1".utf8)): metadata = try raw.u64(at: 440)
        default: return nil
        }
        guard metadata != 0, metadata % 64 == 0 else { return nil }
        let header = try volume.bytes(at: metadata, count: metadataHeader + 48)
        let headerSpan = header.span
        guard headerSpan.raw.matches("-FVE-FS-", at: 0) else { return nil }
        return VolumeSignature(
            type: "BitLocker",
            usage: .crypto,
            label: try label(volume, metadata, byteCount: headerSpan.raw.u32(at: 64)),
            uuid: IdentifierText.guid(Array(header[80..<96])),
            version: String(try headerSpan.raw.u16(at: 10))
        )
    }

    private static func label(
        _ volume: VolumeReader,
        _ metadata: UInt64,
        byteCount: UInt32
    ) throws(DiskError) -> [UInt8] {
        guard (48...maximumMetadata).contains(byteCount) else { return [] }
        let bytes = try volume.bytes(at: metadata + UInt64(metadataHeader), count: Int(byteCount))
        let span = bytes.span
        let raw = span.raw
        var offset = 48
        while offset + 8 <= bytes.count {
            let size = Int(try raw.u16(at: offset))
            guard size >= 8, bytes.count - offset >= size else { break }
            if try raw.u16(at: offset + 2) == description, try raw.u16(at: offset + 4) == string {
                let units = IdentifierText.unitsLE(try raw.array(at: offset + 8, count: size - 8))
                return IdentifierText.label(IdentifierText.utf8(units))
            }
            offset += size
        }
        return []
    }
}
