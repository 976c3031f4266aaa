/// UDF, on volumes with sectors of 512 bytes to 4 KiB.
///
/// Layout: ECMA-167, parts 2 (recognition sequence) and 3 (descriptors); OSTA UDF 2.60.
enum UDFSignature: SignatureFamily {
    private static let firstDescriptor: UInt64 = 0x8000
    private static let maximumDescriptors: UInt32 = 64
    /// Identifiers of the recognition sequence; NSR is the one that announces UDF.
    private static let companions = ["BEA01", "BOOT2", "CD001", "CDW02", "TEA01"]

    private enum Tag {
        static let primaryVolume: UInt16 = 1
        static let anchor: UInt16 = 2
        static let logicalVolume: UInt16 = 6
        static let terminator: UInt16 = 8
        static let logicalVolumeIntegrity: UInt16 = 9
    }

    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature? {
        for sectorSize in [UInt64(512), 1024, 2048, 4096] {
            guard try isAnnounced(volume, step: max(2048, sectorSize)) else { continue }
            for sector in [UInt64(256), 512] {
                let place = sector * sectorSize
                guard volume.byteCount >= place + 512 else { continue }
                let anchor = try volume.bytes(at: place, count: 512)
                let span = anchor.span
                guard try span.raw.u32(at: 12) == UInt32(sector),
                    try span.raw.u16(at: 0) == Tag.anchor
                else { continue }
                return try signature(
                    volume,
                    sectorSize: sectorSize,
                    byteCount: try span.raw.u32(at: 16),
                    location: try span.raw.u32(at: 20)
                )
            }
        }
        return nil
    }

    private static func isAnnounced(
        _ volume: VolumeReader,
        step: UInt64
    ) throws(DiskError) -> Bool {
        for index in 0..<UInt64(maximumDescriptors) {
            let offset = firstDescriptor + index * step
            guard volume.byteCount >= offset + 7 else { return false }
            let descriptor = try volume.bytes(at: offset, count: 7)
            let identifier = String(decoding: descriptor[1..<6], as: UTF8.self)
            if identifier == "NSR02" || identifier == "NSR03" { return true }
            guard companions.contains(identifier) else { return false }
        }
        return false
    }

    /// Reads the volume descriptor sequence.
    private static func signature(
        _ volume: VolumeReader,
        sectorSize: UInt64,
        byteCount: UInt32,
        location: UInt32
    ) throws(DiskError) -> VolumeSignature? {
        var result = VolumeSignature(type: "udf", usage: .filesystem)
        var revision: UInt16?
        var integrity: UInt32?
        descriptors: for index in 0..<min(byteCount / UInt32(sectorSize), maximumDescriptors) {
            let place = (UInt64(location) + UInt64(index)) * sectorSize
            let descriptor = try volume.bytes(at: place, count: 512)
            let span = descriptor.span
            let raw = span.raw
            guard UInt64(try raw.u32(at: 12)) == UInt64(location) + UInt64(index) else { break }
            switch try raw.u16(at: 0) {
            case Tag.primaryVolume where result.uuid.isEmpty && usesUnicode(raw, at: 200):
                result.uuid = uuid(try string(raw, at: 72, count: 128))
            case Tag.logicalVolume where raw.matches("*OSTA UDF Compliant", at: 217):
                guard revision == nil else { break }
                revision = try raw.u16(at: 240)
                if try raw.u32(at: 268) != 0 { integrity = try raw.u32(at: 436) }
                if usesUnicode(raw, at: 20) {
                    result.label = IdentifierText.label(try string(raw, at: 84, count: 128))
                }
            case 0, Tag.terminator: break descriptors
            default: continue
            }
        }
        guard let revision else { return result }
        let newest = max(revision, try newestRevision(volume, integrity, sectorSize))
        let minor = IdentifierText.hex(newest & 0xFF, width: 2)
        result.version = "\(String(newest >> 8, radix: 16)).\(minor)"
        return result
    }

    private static func usesUnicode(_ raw: RawSpan, at offset: Int) -> Bool {
        (try? raw.u8(at: offset)) == 0 && raw.matches("OSTA Compressed Unicode", at: offset + 1)
    }

    /// The revisions that the integrity descriptor asks of readers and writers.
    private static func newestRevision(
        _ volume: VolumeReader,
        _ location: UInt32?,
        _ sectorSize: UInt64
    ) throws(DiskError) -> UInt16 {
        guard let location, location != 0 else { return 0 }
        let place = UInt64(location) * sectorSize
        do throws(DiskError) {
            let header = try volume.bytes(at: place, count: 80)
            let span = header.span
            guard try span.raw.u16(at: 0) == Tag.logicalVolumeIntegrity,
                try span.raw.u32(at: 12) == location, try span.raw.u32(at: 76) >= 46
            else { return 0 }
            let use = place + 80 + 8 * UInt64(try span.raw.u32(at: 72))
            let fields = try volume.bytes(at: use + 40, count: 4)
            let revisions = fields.span
            return max(try revisions.raw.u16(at: 0), try revisions.raw.u16(at: 2))
        } catch  where error.reason == .truncated {
            return 0
        }
    }

    /// A dstring as UTF-8: a first byte that says 8 or 16 bits a character, the length at the end.
    private static func string(
        _ raw: RawSpan,
        at offset: Int,
        count: Int
    ) throws(DiskError) -> [UInt8] {
        let field = try raw.array(at: offset, count: count)
        let length = min(max(Int(field[count - 1]) - 1, 0), count - 2)
        let characters = Array(field[1..<1 + length])
        switch field[0] {
        case 8: return IdentifierText.utf8(characters.map { UInt16($0) })
        case 16: return IdentifierText.utf8(IdentifierText.unitsBE(characters))
        default: return []
        }
    }

    /// The identifier that blkid makes of the volume set's name, whose beginning is to be unique.
    ///
    /// Sixteen hexadecimal digits are taken as they are. Where the first eight or the second eight
    /// characters are something else, their bytes are printed in hexadecimal as far as there is room.
    private static func uuid(_ name: [UInt8]) -> String {
        guard name.count >= 8 else { return "" }
        let padded = Array((name + [UInt8](repeating: 0, count: 16)).prefix(16))
        func isHex(_ byte: UInt8) -> Bool { Character(Unicode.Scalar(byte)).isHexDigit }
        func digits(_ bytes: ArraySlice<UInt8>) -> String {
            String(decoding: bytes, as: UTF8.self).lowercased()
        }
        func encoded(_ bytes: ArraySlice<UInt8>) -> String {
            bytes.map { IdentifierText.hex($0, width: 2) }.joined()
        }
        guard padded[..<8].allSatisfy(isHex) else { return encoded(padded[..<8]) }
        guard padded[8...].allSatisfy(isHex) else {
            return digits(padded[..<8]) + encoded(padded[8..<12])
        }
        return digits(padded[...])
    }
}
