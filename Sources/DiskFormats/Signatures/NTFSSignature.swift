/// NTFS, by its boot sector and the first records of its master file table.
///
/// Layout: Linux `fs/ntfs3/ntfs.h` (NTFS_BOOT, MFT_REC, ATTRIB).
enum NTFSSignature: SignatureFamily {
    private static let volumeRecord: UInt64 = 3
    private static let volumeName: UInt32 = 0x60
    private static let maximumClusterSize: UInt64 = 2 << 20

    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature? {
        guard volume.matches("NTFS    ", at: 3) else { return nil }
        let bytes = try volume.bytes(at: 0, count: 512)
        let span = bytes.span
        let raw = span.raw
        let sectorSize = UInt64(try raw.u16(at: 0x0B))
        guard try hasUnusedFieldsZero(raw), (256...4096).contains(sectorSize),
            sectorSize.nonzeroBitCount == 1,
            let sectorsPerCluster = sectorsPerCluster(try raw.u8(at: 0x0D))
        else { return nil }
        let clusterSize = sectorSize * sectorsPerCluster
        let sectors = try raw.u64(at: 0x28)
        let clusters = sectors / sectorsPerCluster
        let table = try raw.u64(at: 0x30)
        guard clusterSize <= maximumClusterSize, table <= clusters,
            try raw.u64(at: 0x38) <= clusters,
            let recordSize = recordSize(try raw.u8(at: 0x40), clusterSize: clusterSize)
        else { return nil }
        let place = table.multipliedReportingOverflow(by: clusterSize)
        let third = place.partialValue.addingReportingOverflow(volumeRecord * UInt64(recordSize))
        guard !place.overflow, !third.overflow else { return nil }
        let first = try volume.bytes(at: place.partialValue, count: 4)
        let record = try volume.bytes(
            at: third.partialValue,
            count: recordSize
        )
        guard first == Array("FILE".utf8), record.starts(with: first) else { return nil }
        let size = sectors.multipliedReportingOverflow(by: sectorSize)
        return VolumeSignature(
            type: "ntfs",
            usage: .filesystem,
            label: (try? label(in: record)) ?? [],
            uuid: IdentifierText.hex(try raw.u64(at: 0x48), width: 16, uppercase: true),
            byteCount: size.overflow ? nil : size.partialValue
        )
    }

    /// The fields that FAT uses and NTFS does not.
    private static func hasUnusedFieldsZero(_ raw: RawSpan) throws(DiskError) -> Bool {
        let reserved = try raw.u16(at: 0x0E)
        let tables = try raw.array(at: 0x10, count: 5)
        let tableSectors = try raw.u16(at: 0x16)
        let sectors = try raw.u32(at: 0x20)
        return reserved == 0 && tables == [0, 0, 0, 0, 0] && tableSectors == 0 && sectors == 0
    }

    private static func sectorsPerCluster(_ field: UInt8) -> UInt64? {
        if field.nonzeroBitCount == 1 { return UInt64(field) }
        // Large clusters are stored as the negative of an exponent.
        return (240...249).contains(field) ? 1 << (256 - UInt64(field)) : nil
    }

    /// The size of a file record, at most 2 MiB: clusters, or the negative of an exponent.
    private static func recordSize(_ field: UInt8, clusterSize: UInt64) -> Int? {
        if (0xEB...0xF7).contains(field) { return 1 << (256 - Int(field)) }
        guard field <= 64, field.nonzeroBitCount == 1 else { return nil }
        let size = UInt64(field) * clusterSize
        return (256...maximumClusterSize).contains(size) ? Int(size) : nil
    }

    private static func label(in record: [UInt8]) throws(DiskError) -> [UInt8] {
        let repaired = try withFixups(record)
        let span = repaired.span
        let raw = span.raw
        var offset = Int(try raw.u16(at: 20))
        while offset + 24 <= repaired.count {
            let type = try raw.u32(at: offset)
            let length = Int(try raw.u32(at: offset + 4))
            guard type != 0xFFFF_FFFF, length >= 24 else { break }
            if type == volumeName, try raw.u8(at: offset + 8) == 0 {
                let count = Int(try raw.u32(at: offset + 16))
                let place = offset + Int(try raw.u16(at: offset + 20))
                let units = IdentifierText.unitsLE(try raw.array(at: place, count: count))
                return IdentifierText.label(IdentifierText.utf8(units))
            }
            offset += length
        }
        return []
    }

    /// The record with the last two bytes of each 512 put back.
    ///
    /// The disk has a sequence number there, to show writes that were torn.
    private static func withFixups(_ record: [UInt8]) throws(DiskError) -> [UInt8] {
        let span = record.span
        let place = Int(try span.raw.u16(at: 4))
        let count = Int(try span.raw.u16(at: 6))
        var repaired = record
        guard count > 1 else { return repaired }
        for block in 1..<count where block * 512 <= record.count {
            repaired[block * 512 - 2] = try span.raw.u8(at: place + 2 * block)
            repaired[block * 512 - 1] = try span.raw.u8(at: place + 2 * block + 1)
        }
        return repaired
    }
}
