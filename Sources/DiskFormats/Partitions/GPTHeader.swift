/// A header of a GUID partition table, with its checksum verified and every field checked.
///
/// Layout: UEFI specification 2.10, section 5.3.2 (GPT Header).
struct GPTHeader: Equatable {
    /// The smallest and the largest array of entries that gets read.
    static let maximumEntries: UInt32 = 16_384
    private static let entrySizes: [UInt32] = [128, 256, 512, 1024, 2048, 4096]
    private static let minimumByteCount: UInt32 = 92

    /// The sector in which the other copy stands.
    let alternate: UInt64
    /// The first and last sectors that partitions may use.
    let usable: ClosedRange<UInt64>
    /// The disk's GUID.
    let diskGUID: [UInt8]
    /// The first sector of the array of entries.
    let entriesSector: UInt64
    /// How many entries the array has; at least 1.
    let entryCount: Int
    /// Size of an entry in bytes.
    let entryByteCount: Int
    /// CRC-32 of the whole array.
    let entriesChecksum: UInt32

    /// Size of the whole array in bytes, 64 MiB at most.
    var entriesByteCount: Int { entryCount * entryByteCount }

    /// Reads the header in `sector`, which is sector `number` of the disk.
    init(_ sector: [UInt8], number: UInt64) throws(DiskError) {
        let span = sector.span
        let raw = span.raw
        guard raw.matches("EFI PART", at: 0) else {
            throw DiskError(.badMagic, "", at: 0, "does not begin with EFI PART")
        }
        let byteCount = try raw.u32(at: 12)
        guard byteCount >= Self.minimumByteCount, byteCount <= UInt32(sector.count) else {
            throw DiskError(.outOfRange, "", at: 12, "header of \(byteCount) bytes")
        }
        try Self.verifyChecksum(sector, byteCount: Int(byteCount), stored: raw.u32(at: 16))
        let own = try raw.u64(at: 24)
        guard own == number else {
            throw DiskError(.inconsistent, "", at: 24, "says that it is in sector \(own)")
        }
        let firstUsable = try raw.u64(at: 40)
        let lastUsable = try raw.u64(at: 48)
        guard firstUsable <= lastUsable else {
            let range = "first usable sector \(firstUsable), last \(lastUsable)"
            throw DiskError(.outOfRange, "", at: 40, range)
        }
        let entryCount = try raw.u32(at: 80)
        let entryByteCount = try raw.u32(at: 84)
        guard (1...Self.maximumEntries).contains(entryCount) else {
            let limit = "1 to \(Self.maximumEntries) are supported"
            throw DiskError(.outOfRange, "", at: 80, "\(entryCount) entries, \(limit)")
        }
        guard Self.entrySizes.contains(entryByteCount) else {
            let sizes = "128 bytes to 4 KiB in powers of two are supported"
            throw DiskError(.outOfRange, "", at: 84, "entries of \(entryByteCount) bytes, \(sizes)")
        }
        self.alternate = try raw.u64(at: 32)
        self.usable = firstUsable...lastUsable
        self.diskGUID = try raw.array(at: 56, count: 16)
        self.entriesSector = try raw.u64(at: 72)
        self.entryCount = Int(entryCount)
        self.entryByteCount = Int(entryByteCount)
        self.entriesChecksum = try raw.u32(at: 88)
    }

    /// The checksum covers the header with the checksum's own field as zero.
    private static func verifyChecksum(
        _ sector: [UInt8],
        byteCount: Int,
        stored: UInt32
    ) throws(DiskError) {
        var header = Array(sector.prefix(byteCount))
        for index in 16..<20 { header[index] = 0 }
        let span = header.span
        let computed = crc32(span.raw)
        guard computed == stored else {
            let found = IdentifierText.hex(stored, width: 8)
            let wanted = IdentifierText.hex(computed, width: 8)
            throw DiskError(
                .badChecksum,
                "",
                at: 16,
                "header has \(found), its bytes give \(wanted)"
            )
        }
    }

    /// Whether `other`, the other copy, describes the same partitions.
    func agrees(with other: GPTHeader) -> Bool {
        diskGUID == other.diskGUID && usable == other.usable
            && entryCount == other.entryCount && entryByteCount == other.entryByteCount
            && entriesChecksum == other.entriesChecksum
    }
}
