/// The partition table in a master boot record, or in an extended boot record of the same layout.
///
/// Layout: UEFI specification 2.10, section 5.2.1 (Legacy Master Boot Record).
struct MasterBootRecord {
    static let byteCount = 512
    private static let signature: UInt16 = 0xAA55
    private static let aixMagic: [UInt8] = [0xC9, 0xC2, 0xD4, 0xC1]
    private static let firstEntry = 446
    private static let entryByteCount = 16
    private static let protectiveType: UInt8 = 0xEE

    /// One of the four entries.
    struct Entry {
        /// 0x80 on the partition to boot from, otherwise 0.
        var bootIndicator: UInt8
        /// What the partition is for; 0 where the entry is not in use.
        var type: UInt8
        /// The first sector; in an extended boot record, relative to another sector.
        var first: UInt64
        /// The length in sectors.
        var sectors: UInt64
        /// Byte offset of the entry in its sector.
        var offset: UInt64

        /// Whether the entry holds a chain of logical partitions: CHS, LBA, and Linux' own.
        var isExtended: Bool { [0x05, 0x0F, 0x85].contains(type) }
    }

    /// The four entries.
    let entries: [Entry]
    /// The disk's identifier, or 0.
    let number: UInt32
    private let isAIX: Bool

    /// Reads the entries of `sector`, or returns nil where it does not end in 55 AA.
    init?(_ sector: [UInt8]) throws(DiskError) {
        let span = sector.span
        let raw = span.raw
        guard try raw.u16(at: 510) == Self.signature else { return nil }
        var entries: [Entry] = []
        for index in 0..<4 {
            let offset = Self.firstEntry + index * Self.entryByteCount
            entries.append(
                Entry(
                    bootIndicator: try raw.u8(at: offset),
                    type: try raw.u8(at: offset + 4),
                    first: UInt64(try raw.u32(at: offset + 8)),
                    sectors: UInt64(try raw.u32(at: offset + 12)),
                    offset: UInt64(offset)
                )
            )
        }
        self.entries = entries
        self.number = try raw.u32(at: 440)
        self.isAIX = sector.starts(with: Self.aixMagic)
    }

    /// Whether it only protects a GPT from programs that do not know one.
    var isProtective: Bool { entries.contains { $0.type == Self.protectiveType } }

    /// Whether it can be a partition table: what follows boot code at random has other indicators.
    var isPlausible: Bool {
        !isAIX && entries.allSatisfy { $0.bootIndicator == 0 || $0.bootIndicator == 0x80 }
    }

    /// Whether no entry is in use.
    var isEmpty: Bool { entries.allSatisfy { $0.sectors == 0 } }

    /// The identifier as sfdisk prints it.
    var identifier: String { "0x" + IdentifierText.hex(number, width: 8) }

    /// The last sector of the disk, as the protective entry had it when it was written.
    var lastProtectedSector: UInt64? {
        guard let entry = entries.first(where: { $0.type == Self.protectiveType }),
            entry.sectors > 0, entry.sectors < UInt64(UInt32.max)
        else { return nil }
        return entry.first + entry.sectors - 1
    }
}
