/// A physical volume of LVM2, by the label in one of its first four sectors.
///
/// Layout: LVM2 `lib/label/label.h` and `lib/format_text/layout.h`.
enum LVM2Signature: SignatureFamily {
    private static let sectorSize = 512

    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature? {
        for sector in 0..<4 {
            let offset = sector * sectorSize
            guard volume.matches("LABELONE", at: offset),
                volume.matches("LVM2 001", at: offset + 24)
            else { continue }
            let label = try volume.bytes(at: UInt64(offset), count: sectorSize)
            let span = label.span
            let raw = span.raw
            guard try raw.u64(at: 8) == UInt64(sector),
                try raw.u32(at: 16) == checksum(label[20...])
            else { continue }
            // The physical volume's header follows the label where the label says.
            let header = Int(try raw.u32(at: 20))
            return VolumeSignature(
                type: "LVM2_member",
                usage: .raid,
                uuid: hyphenated(IdentifierText.printable(try raw.array(at: header, count: 32))),
                byteCount: try raw.u64(at: header + 32),
                version: "LVM2 001"
            )
        }
        return nil
    }

    /// LVM2's use of CRC-32: a seed of its own, no inversion at the end.
    static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.reduce(0xF597_A6CF) { crc, byte in
            (0..<8).reduce(crc ^ UInt32(byte)) { crc, _ in
                (crc >> 1) ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0)
            }
        }
    }

    /// 32 characters in groups of 6, 4, 4, 4, 4, 4 and 6.
    private static func hyphenated(_ text: String) -> String {
        guard text.utf8.count == 32 else { return "" }
        var result = ""
        for (index, character) in text.enumerated() {
            if index >= 6, index < 30, (index - 6) % 4 == 0 { result += "-" }
            result.append(character)
        }
        return result
    }
}
