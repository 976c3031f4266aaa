import Testing

@testable import DiskFormats

@Suite(.enabled(if: PartitionLab.has("sfdisk", "sgdisk"), "sfdisk or sgdisk is missing"))
struct PartitionDamageTests {
    static let gpt =
        "truncate -s 4M image; sgdisk -a 1 -n 1:0:+1M -n 2:0:+1M -c 2:x image >/dev/null"
    static let mbr = """
        truncate -s 16M image
        printf 'label: dos\n,2M\n,,5\n,1M\n,1M\n,1M\n' | sfdisk -q image
        """

    /// What every caller relies on, whatever the disk says.
    @discardableResult
    static func checkPromises(_ disk: any BlockSource) throws -> PartitionTable {
        let table = try PartitionTable.read(disk)
        #expect(table.sectorSize == 512 || table.sectorSize == 4096)
        for partition in table.partitions {
            #expect(partition.byteCount > 0)
            _ = try SliceSource(disk, start: partition.start, byteCount: partition.byteCount)
        }
        #expect(table.kind != .none || (table.partitions.isEmpty && table.problems.isEmpty))
        return table
    }

    /// A GPT header with `field` set, its checksum made right again.
    static func header(
        of disk: any BlockSource,
        sector: UInt64 = 1,
        _ field: Int,
        _ value: [UInt8]
    ) throws -> [UInt8] {
        var bytes = try disk.bytes(at: sector * 512, count: 512)
        bytes.replaceSubrange(field..<field + value.count, with: value)
        return sealed(bytes)
    }

    static func sealed(_ header: [UInt8]) -> [UInt8] {
        var bytes = header
        for index in 16..<20 { bytes[index] = 0 }
        let covered = Array(bytes[..<92])
        let span = covered.span
        let checksum = crc32(unsafe span.bytes)
        for index in 0..<4 {
            bytes[16 + index] = UInt8(truncatingIfNeeded: checksum >> (8 * index))
        }
        return bytes
    }

    static func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        (0..<T.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    // MARK: GPT

    @Test func `a damaged primary GPT is replaced by its backup, and that is reported`() throws {
        try PartitionLab.withImage(Self.gpt) { image, _ in
            let whole = try PartitionTable.read(image)
            #expect(whole.partitions.count == 2 && whole.problems == [])
            for (offset, reason) in [(512, DiskError.Reason.badMagic), (570, .badChecksum)] {
                let table = try PartitionTable.read(image.patched([0xA5], at: offset))
                #expect(table.partitions == whole.partitions)
                #expect(table.identifier == whole.identifier)
                #expect(table.problems.map(\.reason) == [reason, .inconsistent])
                #expect(table.problems.last?.structure == "backup GPT")
                #expect(table.problems.last?.offset == image.byteCount - 512)
            }
            // The entries have a checksum of their own.
            let table = try PartitionTable.read(image.patched([0xA5], at: 1024 + 60))
            #expect(table.partitions == whole.partitions)
            #expect(table.problems.first?.structure == "primary GPT: entries")
            #expect(table.problems.first?.offset == 1024)
        }
    }

    @Test func `a backup GPT that does not stand at the end is found through the primary`() throws {
        try PartitionLab.withImage(Self.gpt + "; truncate -s 8M image") { image, _ in
            let whole = try PartitionTable.read(image)
            #expect(whole.partitions.count == 2 && whole.problems == [])
            // The damaged primary still says where; the protective record does, too.
            let damaged = try PartitionTable.read(image.patched([0xA5], at: 570))
            #expect(damaged.partitions == whole.partitions)
            #expect(damaged.problems.last?.offset == 4 << 20 - 512)
            let erased = image.patched([UInt8](repeating: 0, count: 512), at: 512)
            #expect(try PartitionTable.read(erased).partitions == whole.partitions)
        }
    }

    @Test func `a damaged, missing or different backup GPT is reported`() throws {
        try PartitionLab.withImage(Self.gpt) { image, _ in
            let whole = try PartitionTable.read(image)
            let last = Int(image.byteCount) - 512
            let damaged = try PartitionTable.read(image.patched([0xA5], at: last + 60))
            #expect(damaged.partitions == whole.partitions)
            #expect(damaged.problems.map(\.reason) == [.badChecksum])
            let guid = try Self.header(of: image, sector: UInt64(last / 512), 56, [0xA5])
            let different = try PartitionTable.read(image.patched(guid, at: last))
            #expect(different.partitions == whole.partitions)
            #expect(different.problems.map(\.reason) == [.inconsistent])
            let short = try PartitionTable.read(image.truncated(to: 3 << 20))
            #expect(short.partitions == whole.partitions)
            #expect(short.problems.map(\.reason) == [.truncated])
        }
    }

    @Test func `two damaged copies give no partitions and two reasons`() throws {
        try PartitionLab.withImage(Self.gpt) { image, _ in
            let last = Int(image.byteCount) - 512
            let disk = image.patched([0xA5], at: 570).patched([0xA5], at: last + 60)
            let table = try PartitionTable.read(disk)
            #expect(table.kind == .gpt && table.partitions == [])
            #expect(table.problems.map(\.reason) == [.badChecksum, .badChecksum])
        }
    }

    @Test func `a GPT without its protective record is used and reported`() throws {
        try PartitionLab.withImage(Self.gpt) { image, _ in
            let whole = try PartitionTable.read(image)
            let table = try PartitionTable.read(
                image.patched([UInt8](repeating: 0, count: 512), at: 0)
            )
            #expect(table.kind == .gpt && table.partitions == whole.partitions)
            #expect(table.problems.map(\.structure) == ["MBR"])
        }
    }

    @Test(arguments: [
        (24, Self.little(UInt64(2))), (40, Self.little(UInt64.max)), (48, Self.little(UInt64(0))),
        (72, Self.little(UInt64.max)), (72, Self.little(UInt64(1) << 55)),
        (72, Self.little(UInt64(8000))), (80, Self.little(UInt32.max)),
        (80, Self.little(UInt32(0))), (80, Self.little(UInt32(16_385))),
        (84, Self.little(UInt32(0))), (84, Self.little(UInt32(64))),
        (84, Self.little(UInt32(8192))), (84, Self.little(UInt32(384))),
        (12, Self.little(UInt32(91))), (12, Self.little(UInt32.max)),
        (88, Self.little(UInt32(1))),
    ])
    func `an impossible field is refused although the checksum is right`(
        field: Int,
        value: [UInt8]
    ) throws {
        try PartitionLab.withImage(Self.gpt) { image, _ in
            let header = try Self.header(of: image, field, value)
            let table = try PartitionTable.read(image.patched(header, at: 512))
            // The backup stands in for it.
            #expect(table.partitions.count == 2)
            #expect(table.problems.count == 2)
            let isElsewhere = field == 88 || value == Self.little(UInt64(8000))
            #expect((table.problems.first?.reason == .badChecksum) == isElsewhere)
        }
    }

    @Test func `partitions that leave the disk are cut or left out by name`() throws {
        try PartitionLab.withImage(Self.gpt) { image, _ in
            // Entries: first and last sector of partitions 1 and 2.
            for (first, last, expected) in [
                (UInt64(34), UInt64(9000), "partition 1: cut"), (8192, 8300, "partition 1: left"),
                (UInt64.max, UInt64.max, "partition 1: left"), (40, 39, "partition 1: left"),
                (0, UInt64.max, "partition 1: left"), (0, UInt64.max - 1, "partition 1: cut"),
                (UInt64(1) << 55, UInt64(1) << 56, "partition 1: left"),
                (2100, 2200, "partition 1: overlaps partition 2"),
            ] {
                var entries = try image.bytes(at: 1024, count: 128 * 128)
                entries.replaceSubrange(32..<48, with: Self.little(first) + Self.little(last))
                let span = entries.span
                let checksum = Self.little(crc32(unsafe span.bytes))
                let header = try Self.header(of: image, 88, checksum)
                let disk = image.patched(header + entries, at: 512)
                let table = try Self.checkPromises(disk)
                let problems = table.problems.map { "\($0.structure): \($0.detail)" }
                #expect(
                    problems.contains { $0.hasPrefix(expected) },
                    "\(first) \(last) \(problems)"
                )
                let isLeftOut = expected.hasSuffix("left")
                #expect(table.partitions.map(\.number) == (isLeftOut ? [2] : [1, 2]))
            }
        }
    }

    @Test func `surrogates without a partner survive in names`() {
        let units: [UInt16] = [0x61, 0xD83D, 0xDE80, 0xD800, 0x62, 0xDC00, 0xDFFF, 0xD801, 0, 0x63]
        let expected: [UInt8] =
            [0x61, 0xF0, 0x9F, 0x9A, 0x80, 0xED, 0xA0, 0x80, 0x62]
            + [0xED, 0xB0, 0x80, 0xED, 0xBF, 0xBF, 0xED, 0xA0, 0x81]
        #expect(IdentifierText.utf8(units) == expected)
    }

    // MARK: Extended partitions

    /// An extended boot record with one partition and a link, both in sectors.
    static func extendedRecord(first: UInt32, sectors: UInt32, link: UInt32?) -> [UInt8] {
        var sector = [UInt8](repeating: 0, count: 512)
        sector[446 + 4] = 0x83
        sector.replaceSubrange(454..<462, with: little(first) + little(sectors))
        if let link {
            sector[462 + 4] = 5
            sector.replaceSubrange(470..<478, with: little(link) + little(UInt32(16)))
        }
        sector.replaceSubrange(510..<512, with: [0x55, 0xAA])
        return sector
    }

    /// A disk of 8 MiB with an extended partition from sector 64 to the end.
    static func disk(_ records: [Int: [UInt8]]) -> MemorySource {
        var bytes = [UInt8](repeating: 0, count: 8 << 20)
        bytes[446 + 4] = 5
        bytes.replaceSubrange(454..<462, with: little(UInt32(64)) + little(UInt32(16384 - 64)))
        bytes.replaceSubrange(510..<512, with: [0x55, 0xAA])
        for (sector, record) in records {
            bytes.replaceSubrange(sector * 512..<sector * 512 + 512, with: record)
        }
        return MemorySource(bytes)
    }

    @Test(arguments: [
        (UInt32(0), "loop"), (UInt32(32), "loop"), (UInt32(16320), "leads to sector 16320"),
        (UInt32.max, "leads to sector"), (UInt32(1000), "55 AA"),
    ])
    func `a chain that does not end, leaves its container or is damaged is reported`(
        link: UInt32,
        problem: String
    ) throws {
        let disk = Self.disk([
            64: Self.extendedRecord(first: 1, sectors: 8, link: 32),
            96: Self.extendedRecord(first: 1, sectors: 8, link: link),
        ])
        let table = try PartitionTable.read(disk)
        #expect(table.partitions.map(\.number) == [1, 5, 6])
        #expect(table.problems.count == 1)
        #expect(table.problems[0].detail.contains(problem))
    }

    @Test func `a chain of more than 256 records is cut and reported`() throws {
        var records: [Int: [UInt8]] = [:]
        for index in 0..<400 {
            let link = UInt32(16 * (index + 1))
            records[64 + 16 * index] = Self.extendedRecord(first: 1, sectors: 8, link: link)
        }
        let table = try PartitionTable.read(Self.disk(records))
        #expect(table.partitions.count == 1 + MBRReader.maximumLinks)
        #expect(table.problems.map(\.reason) == [.outOfRange])
    }

    @Test func `an extended partition that begins at sector 0 holds nothing`() throws {
        let disk = Self.disk([:]).patched([0, 0, 0, 0], at: 454)
        let table = try PartitionTable.read(disk)
        #expect(table.partitions.map(\.number) == [1])
        #expect(table.problems.map(\.reason) == [.outOfRange])
    }

    @Test func `logical partitions outside their container or the disk are reported`() throws {
        let outside = Self.disk([64: Self.extendedRecord(first: 1, sectors: 20000, link: nil)])
        let table = try PartitionTable.read(outside)
        #expect(table.partitions.map(\.number) == [1, 5])
        #expect(table.problems.count == 2)
        let past = Self.disk([64: Self.extendedRecord(first: .max, sectors: .max, link: nil)])
        #expect(try PartitionTable.read(past).partitions.map(\.number) == [1])
        let short = try Self.disk([:]).truncated(to: 30000)
        #expect(try PartitionTable.read(short).partitions.isEmpty)
    }

    // MARK: Any damage

    /// Sectors, or bytes where there is time, of the structures; between them nothing changes.
    private static func lengths(upTo end: UInt64) -> [UInt64] {
        let sectors = Array(stride(from: UInt64(0), through: end, by: 512))
        let usual = sectors.filter { $0 < 40_000 || $0 % 65_536 < 2048 }
        return Soak.isOn ? usual + Array(0..<40_000) + Array((end - 40_000)...end) : usual
    }

    @Test func `every truncation keeps the promises`() throws {
        for recipe in [Self.gpt, Self.mbr] {
            try PartitionLab.withImage(recipe) { image, _ in
                for count in Self.lengths(upTo: image.byteCount) {
                    let table = try Self.checkPromises(image.truncated(to: count))
                    #expect(
                        !table.problems.isEmpty || table.kind == .none || count == image.byteCount
                            || table.partitions.allSatisfy { $0.end < count },
                        "\(count)"
                    )
                }
            }
        }
    }

    @Test func `every damaged byte of the structures keeps the promises`() throws {
        try PartitionLab.withImage(Self.gpt) { image, _ in
            let whole = try PartitionTable.read(image)
            let places = Array(0..<512 + 92) + Array(1024..<1024 + 512)
            for offset in places {
                let byte = try image.bytes(at: UInt64(offset), count: 1)[0]
                for value in [0, 0xFF, byte ^ 1, byte ^ 0x80] where value != byte {
                    let disk = image.patched([value], at: offset)
                    // Both copies are guarded by checksums: either the same answer or none.
                    let table = try Self.checkPromises(disk)
                    guard offset >= 512 else { continue }
                    #expect(table.partitions == whole.partitions)
                    #expect(table.problems.count == 2)
                }
            }
        }
        try PartitionLab.withImage(Self.mbr) { image, _ in
            let container = try PartitionTable.read(image).partitions[1].start
            for base in [446, Int(container) + 446] {
                for offset in base..<base + 66 {
                    for value in [0, 1, 5, 0x7F, 0x80, 0xFF] as [UInt8] {
                        try Self.checkPromises(image.patched([value], at: offset))
                    }
                }
            }
        }
    }

    @Test func `a checksum that is right does not make an entry safe`() throws {
        try PartitionLab.withImage(Self.gpt) { image, _ in
            let entries = try image.bytes(at: 1024, count: 128 * 128)
            for offset in 0..<128 {
                for value in [0, 0x7F, 0x80, 0xFF] as [UInt8] {
                    var changed = entries
                    changed[offset] = value
                    let span = changed.span
                    let checksum = Self.little(crc32(unsafe span.bytes))
                    let header = try Self.header(of: image, 88, checksum)
                    try Self.checkPromises(image.patched(header + changed, at: 512))
                }
            }
            for offset in 0..<92 {
                for value in [0, 1, 0x7F, 0x80, 0xFF] as [UInt8] {
                    let header = try Self.header(of: image, offset, [value])
                    try Self.checkPromises(image.patched(header, at: 512))
                }
            }
        }
    }
}
