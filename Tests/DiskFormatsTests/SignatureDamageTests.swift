import Testing

@testable import DiskFormats

/// Volumes of which each byte of the structures, and each length, gets tried.
@Suite struct SignatureDamageTests {
    /// A recipe for a small volume, where its structures are, and whether a checksum guards them.
    struct Target: CustomTestStringConvertible {
        var tool: String
        var make: String
        var structures: [Range<Int>]
        var isGuarded = false
        var testDescription: String { make }
    }

    static let targets: [Target] = [
        Target(tool: "mkfs.ext4", make: "mkfs.ext4 -q -F image 32M", structures: [1024..<1400]),
        Target(
            tool: "mkfs.ext4",
            make: "mkfs.ext4 -q -F -O metadata_csum image",
            structures: [1024 + 0x78..<1024 + 0x168],
            isGuarded: true
        ),
        Target(
            tool: "mkfs.xfs",
            make: "truncate -s 300M image; mkfs.xfs -q image",
            // Byte 101 says whether there is a checksum.
            structures: [0..<101, 102..<256],
            isGuarded: true
        ),
        Target(
            tool: "mkfs.btrfs",
            make: "truncate -s 128M image; mkfs.btrfs -q image",
            structures: [65536 + 0x20..<65536 + 0xC0, 65536 + 0x12B..<65536 + 0x140],
            isGuarded: true
        ),
        Target(
            tool: "mkfs.vfat",
            make: "mkfs.vfat -F 16 -n LABEL image",
            structures: [0..<90, 510..<512]
        ),
        Target(
            tool: "mkfs.vfat",
            make: "mkfs.vfat -F 32 -n LABEL image",
            structures: [0..<90, 510..<512, 512..<516, 996..<1000, 16384..<16400]
        ),
        Target(
            tool: "mkfs.exfat",
            make: "mkfs.exfat -L LABEL image",
            structures: [0..<106, 108..<112, 510..<512],
            isGuarded: true
        ),
        Target(
            tool: "mkfs.ntfs",
            make: "mkfs.ntfs -Q -F -L LABEL image",
            structures: [0..<90, 0x4C00..<0x4C00 + 512]
        ),
        Target(
            tool: "genisoimage",
            make: "genisoimage -quiet -J -V LABEL -o image /etc/os-release",
            structures: [0x8000..<0x80C0, 0x8800..<0x8860]
        ),
        Target(
            tool: "mkudffs",
            make: "mkudffs -b 512 -l LABEL image",
            structures: [
                0x8000..<0x8008, 0x8800..<0x8808, 0x9000..<0x9008, 256 * 512..<256 * 512 + 24,
            ]
        ),
        Target(
            tool: "mksquashfs",
            make: "rm image; mksquashfs /etc/os-release image -quiet",
            structures: [0..<96]
        ),
        Target(
            tool: "mkswap",
            make: "mkswap -L LABEL image",
            structures: [1024..<1080, 4086..<4096]
        ),
        Target(
            tool: "cryptsetup",
            make: """
                echo key | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \
                --pbkdf-force-iterations 1000 --key-file - image
                """,
            structures: [0..<512]
        ),
    ]

    static func withTarget(_ target: Target, _ body: (any BlockSource) throws -> Void) throws {
        guard PartitionLab.has(target.tool) else { try Test.cancel("\(target.tool) is missing") }
        let script = "{ truncate -s 32M image; \(target.make); } >/dev/null 2>&1"
        try PartitionLab.withImage(script) { image, _ in try body(image) }
    }

    @Test(arguments: targets)
    func `no damaged byte of a structure traps, and a checksum betrays it`(
        target: Target
    ) throws {
        try Self.withTarget(target) { image in
            try #require(try VolumeSignature.probe(image).count == 1)
            for offset in target.structures.joined() {
                let byte = try image.bytes(at: UInt64(offset), count: 1)[0]
                for value in [0, 1, 0x7F, 0x80, 0xFF, byte ^ 1] where value != byte {
                    let found = try VolumeSignature.probe(image.patched([value], at: offset))
                    #expect(found.isEmpty || !target.isGuarded, "byte \(offset) as \(value)")
                }
            }
        }
    }

    @Test(arguments: targets)
    func `no truncation traps, and what is left is what it was or nothing`(
        target: Target
    ) throws {
        try Self.withTarget(target) { image in
            let whole = try VolumeSignature.probe(image)
            for count in stride(from: UInt64(0), to: min(image.byteCount, 1 << 20), by: 512) {
                let found = try VolumeSignature.probe(image.truncated(to: count))
                // A root directory that is gone takes its label with it.
                #expect(found.isEmpty || found.map(\.uuid) == whole.map(\.uuid), "\(count)")
            }
            let inStructures = Soak.isOn ? Array(target.structures.joined()).map { UInt64($0) } : []
            for count in Array(0..<UInt64(1024)) + inStructures {
                _ = try VolumeSignature.probe(image.truncated(to: min(count, image.byteCount)))
            }
        }
    }

    @Test func `a directory of FAT32 that is a loop ends`() throws {
        try Self.withTarget(Self.targets[5]) { image in
            let boot = try image.bytes(at: 0, count: 512)
            let clusterSize = Int(boot[13]) * 512
            let reserved = (Int(boot[14]) | Int(boot[15]) << 8) * 512
            let entries = [UInt8](repeating: 0xE5, count: clusterSize)
            let span = boot.span
            let tables = try unsafe Int(span.bytes.u32(at: 0x24)) * 512 * 2
            let disk = image.patched(entries, at: reserved + tables)
                .patched([2, 0, 0, 0], at: reserved + 8)
            let found = try VolumeSignature.probe(disk)
            #expect(found.map(\.type) == ["vfat"] && found.map(\.label) == [[]])
        }
    }

    @Test func `an identifier that is not printable is left out`() {
        #expect(IdentifierText.printable(Array("a-b\0c".utf8)) == "a-b")
        #expect(IdentifierText.printable([0x61, 0x1B, 0x62]) == "")
        #expect(IdentifierText.printable([0x61, 0xC3, 0xA4]) == "")
    }
}
