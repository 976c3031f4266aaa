import DiskFormats
import Foundation
import Testing

@Suite(.enabled(if: PartitionLab.has("blkid"), "blkid is missing"))
struct SignatureTests {
    /// Checks that the first signature on `image` says what blkid says.
    static func compare(
        _ image: any BlockSource,
        _ directory: URL
    ) throws -> [VolumeSignature] {
        let expected = try PartitionLab.blkid(in: directory)
        let found = try VolumeSignature.probe(image)
        let signature = try #require(found.first)
        func text(_ key: String) -> String { String(decoding: expected[key] ?? [], as: UTF8.self) }
        #expect(signature.type == text("TYPE"))
        #expect(signature.usage.rawValue == text("USAGE"))
        // Only later versions of blkid look into the metadata of BitLocker.
        if signature.type != "BitLocker" || expected["UUID"] != nil {
            #expect(signature.label == expected["LABEL"] ?? [])
            #expect(signature.uuid == text("UUID"))
        }
        // blkid gives no version of XFS, btrfs and others; where it gives one, it is this.
        #expect(signature.version == text("VERSION"))
        return found
    }

    @Test(arguments: SignatureRecipe.all)
    func `a volume is recognised as blkid recognises it`(recipe: SignatureRecipe) throws {
        guard PartitionLab.has(recipe.tool) else { try Test.cancel("\(recipe.tool) is missing") }
        let script = "{ truncate -s 320M image; \(recipe.make); } >/dev/null 2>&1"
        try PartitionLab.withImage(script) { image, directory in
            let found = try Self.compare(image, directory)
            let isBridge = recipe.make.contains("-udf")
            #expect(found.map(\.type) == (isBridge ? ["udf", "iso9660"] : [found[0].type]))
            guard let size = recipe.size else { return }
            let stated = try PartitionLab.sh(size, in: directory)
            #expect(found.last?.byteCount == UInt64(stated.filter { $0.isNumber }))
        }
    }

    @Test(
        .enabled(
            if: geteuid() == 0 && PartitionLab.has("pvcreate", "losetup"),
            "pvcreate needs a loop device, and that needs root"
        )
    )
    func `a physical volume of LVM2 is recognised as blkid recognises it`() throws {
        for sector in 0..<4 {
            let script = """
                truncate -s 64M image
                device=$(losetup -f --show image)
                trap 'losetup -d $device' EXIT
                pvcreate -q -y --labelsector \(sector) $device >/dev/null 2>&1
                """
            try PartitionLab.withImage(script) { image, directory in
                let found = try Self.compare(image, directory)
                #expect(found.map(\.byteCount) == [64 << 20])
                let damaged = image.patched([0xA5], at: sector * 512 + 60)
                #expect(try VolumeSignature.probe(damaged).isEmpty)
            }
        }
    }

    @Test(.enabled(if: PartitionLab.has("mkfs.ntfs", "ntfslabel"), "ntfs-3g is missing"))
    func `a label of NTFS that spans sectors is read as ntfslabel reads it`() throws {
        // Protected by numbers in the last two bytes of each sector, which blkid does not undo.
        let label = String(repeating: "größe", count: 22)
        let script = "truncate -s 8M image; mkfs.ntfs -Q -F -L \(label) image >/dev/null 2>&1"
        try PartitionLab.withImage(script) { image, directory in
            let expected = try PartitionLab.sh("ntfslabel -nf image 2>/dev/null", in: directory)
            let found = try VolumeSignature.probe(image)
            #expect(expected == label + "\n")
            #expect(found.map(\.label) == [Array(label.utf8)])
        }
    }

    // MARK: Written by hand: no tool makes these without a device of its kind

    private static func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        (0..<T.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    private func written(
        _ parts: [Int: [UInt8]],
        byteCount: Int = 4 << 20,
        _ body: ([VolumeSignature]) throws -> Void
    ) throws {
        try PartitionLab.withDirectory { directory in
            var bytes = [UInt8](repeating: 0, count: byteCount)
            for (offset, part) in parts {
                bytes.replaceSubrange(offset..<offset + part.count, with: part)
            }
            try Data(bytes).write(to: directory.appending(path: "image"))
            try body(try Self.compare(MemorySource(bytes), directory))
        }
    }

    /// A superblock of md, version 1, as `md_p.h` lays it out, for three devices.
    private func arraySuperblock(at offset: Int) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 256 + 6)
        func put(_ bytes: [UInt8], _ offset: Int) {
            block.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        }
        put(Self.little(UInt32(0xA92B_4EFC)) + Self.little(UInt32(1)), 0)
        put((1...16).map { UInt8($0 * 15) }, 16)
        put(Array("host.example.com:data".utf8), 32)
        put(Self.little(UInt64(offset / 512)), 144)
        put(Self.little(UInt32(3)), 220)
        put([0xFE, 0xFF, 1, 0, 2, 0], 256)
        var sum: UInt64 = 0
        for index in stride(from: 0, to: 260, by: 4) {
            sum += (0..<4).reduce(UInt64(0)) { $0 | UInt64(block[index + $1]) << (8 * $1) }
        }
        sum += UInt64(block[260]) | UInt64(block[261]) << 8
        put(Self.little(UInt32(truncatingIfNeeded: sum & 0xFFFF_FFFF + sum >> 32)), 216)
        return block
    }

    @Test(arguments: [(0, "1.1"), (4096, "1.2"), (4 << 20 - 8192, "1.0")])
    func `a member of an array is recognised in each place`(offset: Int, version: String) throws {
        try written([offset: arraySuperblock(at: offset)]) { found in
            #expect(found.map(\.version) == [version])
            #expect(found.map(\.label) == [Array("host.example.com:data".utf8)])
        }
        var damaged = arraySuperblock(at: offset)
        damaged[100] = 1
        var bytes = [UInt8](repeating: 0, count: 4 << 20)
        bytes.replaceSubrange(offset..<offset + damaged.count, with: damaged)
        #expect(try VolumeSignature.probe(MemorySource(bytes)).isEmpty)
    }

    @Test(arguments: [true, false])
    func `a member of an array with metadata 0.90 is recognised in both byte orders`(
        isLittleEndian: Bool
    ) throws {
        let fields: [UInt32] = [
            0xA92B_4EFC, 0, 90, 0, 0, 0x0123_4567, 0, 1, 64, 2, 2, 0, 0, 0x89AB_CDEF, 0x1357_9BDF,
            0x0246_8ACE,
        ]
        let block = fields.flatMap { Self.little(isLittleEndian ? $0 : $0.byteSwapped) }
        try written([4 << 20 - 65536: block]) { found in
            #expect(found.map(\.version) == ["0.90.0"])
        }
    }

    @Test func `BitLocker volumes are recognised, and not as FAT or NTFS`() throws {
        func string(_ text: String) -> [UInt8] {
            let units = Array((text + "\0").utf16).flatMap { Self.little($0) }
            let count = UInt16(8 + units.count)
            return Self.little(count) + Self.little(UInt16(7)) + Self.little(UInt16(2))
                + Self.little(UInt16(1)) + units
        }
        let entries = [8, 0, 2, 0, 1, 0, 1, 0] + string("HOST größe 22.11.2026")
        let size = Self.little(UInt32(48 + entries.count))
        let guid = (1...16).map { UInt8($0 * 15) }
        let metadata =
            Array("-FVE-FS-".utf8) + [0, 0, 2, 0] + [UInt8](repeating: 0, count: 52) + size
            + Self.little(UInt32(1)) + Self.little(UInt32(48)) + size + guid
            + [UInt8](repeating: 0, count: 16) + entries
        let place = Self.little(UInt64(0x8000))
        let boot: [UInt8] = [0xEB, 0x58, 0x90]
        let end: [UInt8] = [0x55, 0xAA]
        try written([
            0: boot + Array("-FVE-FS-".utf8), 176: place, 510: end, 0x8000: metadata,
        ]) { found in
            #expect(found.map(\.type) == ["BitLocker"])
            #expect(found.map(\.label) == [Array("HOST größe 22.11.2026".utf8)])
            #expect(found.map(\.uuid) == ["3c2d1e0f-5a4b-7869-8796-a5b4c3d2e1f0"])
        }
        let parameters: [UInt8] = [0, 2, 8, 0x20, 0, 2, 0, 2, 0, 8, 0xF8, 8, 0]
        try written([
            0: boot + Array("MSWIN4.1".utf8) + parameters, 440: place, 510: end, 0x8000: metadata,
        ]) { found in #expect(found.map(\.type) == ["BitLocker"]) }
        try written([0: [0xEB, 0x52, 0x90] + Array("-FVE-FS-".utf8)]) { found in
            #expect(found.map(\.type) == ["BitLocker"])
        }
    }

    @Test func `what an earlier UDF left after the terminating descriptor does not count`() throws {
        guard PartitionLab.has("mkudffs", "blkid") else { return }
        try PartitionLab.withImage("truncate -s 8M image; mkudffs -b 512 image >/dev/null") {
            image,
            directory in
            #expect(try VolumeSignature.probe(image).map(\.type) == ["udf"])
            let anchor = try image.bytes(at: 256 * 512, count: 512)
            let location = (20..<24).reduce(0) { $0 | Int(anchor[$1]) << (8 * ($1 - 20)) }
            let ended = image.patched([8, 0], at: location * 512)
            #expect(
                try VolumeSignature.probe(ended) == [
                    VolumeSignature(type: "udf", usage: .filesystem)
                ]
            )
            let script = """
                printf '\\010' | dd of=image bs=1 seek=\(location * 512) conv=notrunc status=none
                blkid -p -o export -s TYPE -s LABEL -s UUID -s VERSION image
                """
            let said = try PartitionLab.sh(script, in: directory)
            #expect(said.split(separator: "\n").dropFirst() == ["TYPE=udf"])
        }
    }

    @Test func `an empty or short volume holds nothing`() throws {
        for count in [0, 1, 511, 512, 1024, 4096, 70_000, 1 << 20] {
            let volume = MemorySource([UInt8](repeating: 0, count: count))
            #expect(try VolumeSignature.probe(volume).isEmpty)
        }
    }

    @Test func `all signatures are listed, containers first`() throws {
        guard PartitionLab.has("mkfs.ext4", "mkswap") else { return }
        let script = """
            truncate -s 64M image; mkfs.ext4 -q -F image; cp image swap; mkswap -q swap
            dd if=swap of=image bs=1 skip=4086 seek=4086 count=10 conv=notrunc 2>/dev/null
            dd if=swap of=image bs=1 skip=1024 seek=1024 count=8 conv=notrunc 2>/dev/null
            """
        try PartitionLab.withImage(script) { image, _ in
            let block = arraySuperblock(at: 64 << 20 - 8192)
            let disk = image.patched(block, at: 64 << 20 - 8192)
            let types = try VolumeSignature.probe(disk).map(\.type)
            #expect(types.first == "linux_raid_member" && types.contains("swap"))
        }
    }

    @Test func `an unreadable place costs only the signatures that stand there`() throws {
        struct Pitted: BlockSource {
            let base: any BlockSource
            let pit: Range<UInt64>
            var byteCount: UInt64 { base.byteCount }
            func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
                guard !pit.overlaps(offset..<offset + UInt64(buffer.byteCount)) else {
                    throw DiskError(.unreadable, "disk", at: pit.lowerBound, "input/output error")
                }
                try base.read(into: &buffer, at: offset)
            }
            func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
                try base.run(at: offset, limit: limit)
            }
        }
        guard PartitionLab.has("mkfs.ext4") else { return }
        let script = "truncate -s 8M image; mkfs.ext4 -q -F image"
        try PartitionLab.withImage(script) { image, _ in
            let whole = try VolumeSignature.probe(image)
            #expect(try VolumeSignature.probe(Pitted(base: image, pit: 0x9000..<0x9200)) == whole)
            #expect(throws: DiskError.self) {
                try VolumeSignature.probe(Pitted(base: image, pit: 1024..<1536))
            }
        }
    }

    @Test func `an unreadable volume is an error and not an empty one`() throws {
        struct Unreadable: BlockSource {
            let byteCount: UInt64 = 1 << 20
            func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
                throw DiskError(.unreadable, "disk", at: offset, "input/output error")
            }
            func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
                BlockRun(length: limit, origin: .zeros(layer: nil))
            }
        }
        #expect(throws: DiskError.self) { try VolumeSignature.probe(Unreadable()) }
        #expect(throws: DiskError.self) { try PartitionTable.read(Unreadable()) }
    }
}
