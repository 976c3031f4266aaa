import Testing

@testable import DiskFormats

/// Volumes made by foreign tools, and what is left once their superblock is gone.
@Suite struct SignatureRemainsTests {
    struct Loss: CustomTestStringConvertible {
        var make: String
        var type: String
        /// The bytes that are lost.
        var lost: Range<Int>
        var tool: String { String(make.prefix { $0 != " " }) }
        var testDescription: String { "\(make), lost: \(lost)" }
    }

    static let losses = [
        Loss(make: "mkfs.xfs -q image", type: "xfs", lost: 0..<512),
        Loss(make: "mkfs.xfs -q -s size=4096 image", type: "xfs", lost: 0..<4096),
        Loss(make: "mkfs.xfs -q image", type: "xfs", lost: 224..<228),
        Loss(make: "mkfs.btrfs -q image", type: "btrfs", lost: 0..<0x1_1000),
        Loss(make: "mkfs.btrfs -q image", type: "btrfs", lost: 0x1_0000..<0x1_0004),
        Loss(make: "mkfs.exfat image", type: "exfat", lost: 0..<512),
        Loss(make: "mkfs.exfat image", type: "exfat", lost: 11 * 512..<11 * 512 + 4),
        Loss(make: "mkfs.vfat -F 32 image", type: "vfat", lost: 0..<512),
        Loss(make: "mkfs.ntfs -Q -F image", type: "ntfs", lost: 0x4000..<0x4C10),
    ]

    @Test(arguments: losses)
    func `what is left tells the type, and the disk counts as one volume`(_ loss: Loss) throws {
        guard PartitionLab.has(loss.tool) else { try Test.cancel("\(loss.tool) is missing") }
        try PartitionLab.withImage("truncate -s 320M image; \(loss.make) >/dev/null") { image, _ in
            let zeros = [UInt8](repeating: 0, count: loss.lost.count)
            let damaged = image.patched(zeros, at: loss.lost.lowerBound)
            let signatures = try VolumeSignature.probe(damaged)
            #expect(signatures.isEmpty)
            #expect(SignatureRemains.types(on: damaged) == [loss.type])
            let table = try PartitionTable.read(damaged)
            #expect(table.kind == .none)
        }
    }

    @Test(arguments: SignatureRecipe.all)
    func `a sound volume has remains of no other type`(_ recipe: SignatureRecipe) throws {
        guard PartitionLab.has(recipe.tool) else { try Test.cancel("\(recipe.tool) is missing") }
        let script = "{ truncate -s 320M image; \(recipe.make); } >/dev/null 2>&1"
        try PartitionLab.withImage(script) { image, _ in
            let type = try VolumeSignature.probe(image).first?.type
            #expect(SignatureRemains.types(on: image).allSatisfy { $0 == type })
        }
    }

    @Test func `a partition table without partitions is one still`() throws {
        var sector = [UInt8](repeating: 0, count: 1 << 20)
        sector.replaceSubrange(510..<512, with: [0x55, 0xAA])
        let table = try PartitionTable.read(MemorySource(sector))
        #expect(table.kind == .mbr && table.partitions.isEmpty)
    }

    @Test(arguments: [0, 3, 511, 512, 1024, 0x1_0048, 0x1_1000])
    func `a volume that ends early has no remains`(_ count: Int) {
        let zeros = [UInt8](repeating: 0, count: count)
        #expect(SignatureRemains.types(on: MemorySource(zeros)).isEmpty)
    }
}
