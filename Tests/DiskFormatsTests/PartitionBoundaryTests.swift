import Testing

@testable import DiskFormats

/// What tells one table, copy or partition from another where two could be meant.
@Suite(.enabled(if: PartitionLab.has("sfdisk", "sgdisk"), "sfdisk or sgdisk is missing"))
struct PartitionBoundaryTests {
    private typealias Damage = PartitionDamageTests

    /// A protective entry that does not know how long the disk is.
    private static let unknownLength = [UInt8](repeating: 0xFF, count: 4)

    @Test func `a backup GPT at the end is found where nothing says where it is`() throws {
        try PartitionLab.withImage(Damage.gpt) { image, _ in
            let whole = try PartitionTable.read(image)
            let disk = image.patched([UInt8](repeating: 0, count: 512), at: 512)
                .patched(Self.unknownLength, at: 458)
            let table = try PartitionTable.read(disk)
            #expect(whole.partitions.count == 2 && table.partitions == whole.partitions)
        }
    }

    @Test func `a backup GPT that only a damaged primary knows of is found`() throws {
        try PartitionLab.withImage(Damage.gpt + "; truncate -s 8M image") { image, _ in
            let whole = try PartitionTable.read(image)
            let disk = image.patched([0xA5], at: 570).patched(Self.unknownLength, at: 458)
            let table = try PartitionTable.read(disk)
            #expect(whole.partitions.count == 2 && table.partitions == whole.partitions)
        }
    }

    @Test func `a backup GPT with other entries is reported`() throws {
        try PartitionLab.withImage(Damage.gpt) { image, _ in
            let last = Int(image.byteCount) - 512
            var entries = try image.bytes(at: UInt64(last - 128 * 128), count: 128 * 128)
            entries[56] = 0x41
            let span = entries.span
            let checksum = Damage.little(crc32(unsafe span.bytes))
            let header = try Damage.header(of: image, sector: UInt64(last / 512), 88, checksum)
            let table = try PartitionTable.read(
                image.patched(entries + header, at: last - 128 * 128)
            )
            #expect(table.problems.map(\.detail) == ["differs from the primary, which is used"])
        }
    }

    @Test func `a partition that ends behind the usable sectors is reported`() throws {
        try PartitionLab.withImage(Damage.gpt) { image, _ in
            var entries = try image.bytes(at: 1024, count: 128 * 128)
            let usable = try image.bytes(at: 512 + 48, count: 8)
            let last = usable.enumerated().reduce(UInt64(0)) { $0 | UInt64($1.1) << (8 * $1.0) }
            for (end, isReported) in [(last, false), (last + 1, true)] {
                let start = last - 10
                entries.replaceSubrange(32..<48, with: Damage.little(start) + Damage.little(end))
                let span = entries.span
                let checksum = Damage.little(crc32(unsafe span.bytes))
                let header = try Damage.header(of: image, 88, checksum)
                let table = try PartitionTable.read(image.patched(header + entries, at: 512))
                let problems = table.problems.filter { $0.structure == "partition 1" }
                #expect(problems.map(\.reason) == (isReported ? [.outOfRange] : []))
            }
        }
    }

    // MARK: MBR

    /// A disk of 8 MiB whose first sector has these entries: indicator, type, first sector, length.
    private static func disk(_ entries: [(UInt8, UInt8, UInt32, UInt32)]) -> MemorySource {
        var bytes = [UInt8](repeating: 0, count: 8 << 20)
        for (index, entry) in entries.enumerated() {
            let place = 446 + 16 * index
            bytes[place] = entry.0
            bytes[place + 4] = entry.1
            let numbers = Damage.little(entry.2) + Damage.little(entry.3)
            bytes.replaceSubrange(place + 8..<place + 16, with: numbers)
        }
        bytes.replaceSubrange(510..<512, with: [0x55, 0xAA])
        return MemorySource(bytes)
    }

    @Test func `what is no partition table although it ends in 55 AA is not taken for one`() throws
    {
        #expect(try PartitionTable.read(Self.disk([(0x80, 0x83, 64, 100)])).kind == .mbr)
        // Boot code has other indicators; AIX has a magic number of its own.
        #expect(try PartitionTable.read(Self.disk([(0x12, 0x83, 64, 100)])).kind == .none)
        let aix = Self.disk([(0x80, 0x83, 64, 100)]).patched([0xC9, 0xC2, 0xD4, 0xC1], at: 0)
        #expect(try PartitionTable.read(aix).kind == .none)
    }

    @Test(.enabled(if: PartitionLab.has("mkfs.vfat"), "mkfs.vfat is missing"))
    func `a boot sector of FAT is no partition table even with an entry in it`() throws {
        let script = "truncate -s 16M image; mkfs.vfat -F 16 image >/dev/null"
        try PartitionLab.withImage(script) { image, _ in
            let entries = try Self.disk([(0x80, 0x83, 64, 100)]).bytes(at: 446, count: 66)
            #expect(try PartitionTable.read(image.patched(entries, at: 446)).kind == .none)
        }
    }

    @Test(.enabled(if: PartitionLab.has("mkfs.ext4"), "mkfs.ext4 is missing"))
    func `sectors have 512 bytes where both sizes lead somewhere`() throws {
        let script = """
            truncate -s 16M image
            printf 'label: dos\n256,1024\n2048,8192\n' | sfdisk -q --no-reread image
            for place in 256 2048; do
                mkfs.ext4 -q -F -O ^has_journal -E offset=$((place * 512)) image 512k
            done 2>/dev/null
            """
        try PartitionLab.withImage(script) { image, _ in
            let table = try PartitionTable.read(image)
            #expect(table.sectorSize == 512)
            #expect(table.partitions.map(\.start) == [256 * 512, 2048 * 512])
        }
    }

    @Test func `an extended partition that never held anything is no problem`() throws {
        let table = try PartitionTable.read(Damage.disk([:]))
        #expect(table.partitions.map(\.number) == [1] && table.problems == [])
    }

    @Test func `a logical partition may end where its container does`() throws {
        let room = UInt32(16384 - 64 - 1)
        for (sectors, count) in [(room, 0), (room + 1, 1)] {
            let record = Damage.extendedRecord(first: 1, sectors: sectors, link: nil)
            let table = try PartitionTable.read(Damage.disk([64: record]))
            #expect(table.partitions.map(\.number) == [1, 5])
            #expect(table.problems.filter { $0.detail.hasSuffix("the container") }.count == count)
        }
    }

    @Test func `the last entries of an extended record count where they make sense`() throws {
        // As in Linux `block/partitions/msdos.c`, parse_extended().
        var record = Damage.extendedRecord(first: 1, sectors: 8, link: nil)
        for (index, numbers) in [(UInt32(20), UInt32(8)), (UInt32(20), UInt32(17000))].enumerated()
        {
            let place = 446 + 32 + 16 * index
            record[place + 4] = 0x83
            let bytes = Damage.little(numbers.0) + Damage.little(numbers.1)
            record.replaceSubrange(place + 8..<place + 16, with: bytes)
        }
        let table = try PartitionTable.read(Damage.disk([64: record]))
        #expect(table.partitions.map(\.number) == [1, 5, 6])
        #expect(table.partitions.last?.start == (64 + 20) * 512)
        #expect(table.problems == [])
    }
}
