/// exFAT.
///
/// Layout: Microsoft, "exFAT file system specification", sections 3 (Main and Backup Boot Regions)
/// and 7.3 (Volume Label Directory Entry).
enum ExFATSignature: SignatureFamily {
    private static let labelEntry: UInt8 = 0x83
    private static let lastCluster: UInt32 = 0xFFF_FFF6
    /// How many entries of the root directory are looked at; the label is among the first.
    private static let maximumEntries = 4096

    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature? {
        guard volume.matches("EXFAT   ", at: 3) else { return nil }
        let bytes = try volume.bytes(at: 0, count: 512)
        let span = bytes.span
        let raw = span.raw
        guard try hasSaneGeometry(bytes, raw), try hasValidChecksum(volume, raw) else { return nil }
        let sectorShift = UInt64(try raw.u8(at: 108))
        let size = try raw.u64(at: 72).multipliedReportingOverflow(by: 1 << sectorShift)
        return VolumeSignature(
            type: "exfat",
            usage: .filesystem,
            label: try label(volume, raw),
            uuid: IdentifierText.volumeSerial(try raw.u32(at: 100)),
            byteCount: size.overflow ? nil : size.partialValue,
            version: "\(try raw.u8(at: 105)).\(try raw.u8(at: 104))"
        )
    }

    private static func hasSaneGeometry(
        _ bytes: [UInt8],
        _ raw: RawSpan
    ) throws(DiskError) -> Bool {
        let sectorShift = try raw.u8(at: 108)
        let tables = UInt64(try raw.u8(at: 110))
        guard bytes.starts(with: [0xEB, 0x76, 0x90]), bytes[11..<64].allSatisfy({ $0 == 0 }),
            try raw.u16(at: 510) == 0xAA55, (1...2).contains(tables),
            (9...12).contains(sectorShift), try raw.u8(at: 109) <= 25 - sectorShift
        else { return false }
        let tableOffset = UInt64(try raw.u32(at: 80))
        let tableEnd = tableOffset + UInt64(try raw.u32(at: 84)) * tables
        let heap = UInt64(try raw.u32(at: 88))
        let clusters = UInt64(try raw.u32(at: 92))
        let root = UInt64(try raw.u32(at: 96))
        return tableOffset >= 24 && tableEnd <= heap && heap <= 1 << 31
            && root >= 2 && root <= clusters + 1
    }

    /// Whether sector 11 repeats the checksum of the eleven sectors before it.
    private static func hasValidChecksum(
        _ volume: VolumeReader,
        _ raw: RawSpan
    ) throws(DiskError) -> Bool {
        let sectorSize = 1 << Int(try raw.u8(at: 108))
        let region = try volume.bytes(at: 0, count: 12 * sectorSize)
        var checksum: UInt32 = 0
        // The flags and the usage may change without the checksum being renewed.
        for index in 0..<11 * sectorSize where ![106, 107, 112].contains(index) {
            checksum = (checksum << 31 | checksum >> 1) &+ UInt32(region[index])
        }
        let span = region.span
        for index in stride(from: 11 * sectorSize, to: 12 * sectorSize, by: 4) {
            guard try span.raw.u32(at: index) == checksum else { return false }
        }
        return true
    }

    private static func label(
        _ volume: VolumeReader,
        _ raw: RawSpan
    ) throws(DiskError) -> [UInt8] {
        let sectorShift = UInt64(try raw.u8(at: 108))
        let clusterShift = sectorShift + UInt64(try raw.u8(at: 109))
        let heap = UInt64(try raw.u32(at: 88)) << sectorShift
        let table = UInt64(try raw.u32(at: 80)) << sectorShift
        var cluster = try raw.u32(at: 96)
        var offset: UInt64 = 0
        do throws(DiskError) {
            for _ in 0..<maximumEntries {
                let place = heap + UInt64(cluster - 2) << clusterShift + offset
                let entry = try volume.bytes(at: place, count: 32)
                if entry[0] == 0 { return [] }
                if entry[0] == labelEntry {
                    let units = IdentifierText.unitsLE(Array(entry[2..<24]))
                    let label = units.prefix(Int(min(entry[1], 11)))
                    return IdentifierText.label(IdentifierText.utf8(Array(label)))
                }
                offset += 32
                guard offset == 1 << clusterShift else { continue }
                let next = try volume.bytes(at: table + UInt64(cluster) * 4, count: 4)
                let span = next.span
                cluster = try span.raw.u32(at: 0)
                guard (2...lastCluster).contains(cluster) else { return [] }
                offset = 0
            }
        } catch  where error.reason == .truncated {
            return []
        }
        return []
    }
}
