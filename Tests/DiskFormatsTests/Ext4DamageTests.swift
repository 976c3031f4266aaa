import Foundation
import Testing

@testable import DiskFormats

@Suite struct Ext4DamageTests {
    static func filled(_ options: String, _ scratch: Ext4Scratch) throws -> (
        Ext4SampleTree, [UInt8]
    ) {
        let tree = try Ext4SampleTree(in: scratch)
        let path = scratch("image")
        try Ext4Tool.mke2fs(options, size: "64M", tree: tree.path, at: path)
        return (tree, try imageBytes(path))
    }

    @Test(arguments: ["-t ext4 -b 1024", "-t ext2 -b 1024", "-t ext4 -b 1024 -g 1024"])
    func `a lost superblock is found by its backup, and descriptors too`(options: String) throws {
        let scratch = try Ext4Scratch()
        var (tree, image) = try Self.filled(options, scratch)
        for offset in 1024..<4096 { image[offset] = 0 }
        let fileSystem = try Ext4FileSystem(volume: MemorySource(image))
        let walk = Ext4Listing(fileSystem)
        let problems = fileSystem.summary.problems
        #expect(problems.first?.reason == .badMagic)
        #expect(problems.contains { $0.structure.contains("group descriptor 0") })
        #expect(walk.problems == [])
        try tree.compare(with: walk)
    }

    @Test func `a superblock of a wrong checksum gives way to its backup`() throws {
        let scratch = try Ext4Scratch()
        var (tree, image) = try Self.filled("-t ext4 -b 1024", scratch)
        image[1024 + 0x78] ^= 1
        let fileSystem = try Ext4FileSystem(volume: MemorySource(image))
        #expect(fileSystem.summary.problems.map(\.reason) == [.badChecksum])
        #expect(
            fileSystem.summary.problems.first?.detail.contains("backup at byte 8389632") == true
        )
        try tree.compare(with: Ext4Listing(fileSystem))
    }

    @Test func `a wrong checksum costs what it guards and no more`() throws {
        let scratch = try Ext4Scratch()
        let (_, image) = try Self.filled("-t ext4 -b 1024", scratch)
        let whole = try Ext4FileSystem(volume: MemorySource(image))
        let clean = Ext4Listing(whole)
        let victim = try #require(clean.files["/medium"]?.inode.number)
        let many = try #require(clean.files["/many"]?.inode.number)

        var spoiled = image
        spoiled[Int(try whole.node(victim).offset) + 0x10] ^= 1
        let block = try #require(
            try whole.extents(of: many, in: 2048..<3072).first.flatMap {
                if case .volume(let offset) = $0.content { Int(offset) } else { nil }
            }
        )
        spoiled[block + 20] ^= 1
        let walk = Ext4Listing(try Ext4FileSystem(volume: MemorySource(spoiled)))
        #expect(walk.problems.map(\.reason) == [.badChecksum, .badChecksum])
        #expect(walk.problems.contains { $0.structure == "ext4 inode \(victim)" })
        #expect(walk.problems.contains { $0.offset == UInt64(block + 1020) })
        let missing = Set(clean.files.keys).subtracting(walk.files.keys)
        #expect(missing.contains("/medium"))
        #expect(missing.count > 5 && missing.count < 40)
    }

    @Test func `a damaged extent block makes exactly its range unreadable`() throws {
        let scratch = try Ext4Scratch()
        let path = scratch("image")
        let script = """
            mkdir "$1"; cd "$1"; for i in $(seq 0 2 498); do
                printf x | dd of=holes bs=1024 seek=$i conv=notrunc status=none; done
            """
        try Ext4Tool.run(["bash", "-c", script, "bash", scratch("tree")])
        try Ext4Tool.mke2fs("-t ext4 -b 1024", size: "8M", tree: scratch("tree"), at: path)
        var image = try imageBytes(path)
        let fileSystem = try Ext4FileSystem(volume: MemorySource(image))
        let number = try #require(try fileSystem.lookup(Array("holes".utf8), in: 2))
        let node = try fileSystem.node(number)
        let span = node.bytes.span
        let entries = Int(try span.raw.u16(at: 0x2A))
        try #require(entries >= 3, "the tree is to have several leaves")
        let from = UInt64(try span.raw.u32(at: 0x34 + 12)) * 1024
        let end = UInt64(try span.raw.u32(at: 0x34 + 24)) * 1024
        let leaf = Int(try span.raw.u32(at: 0x34 + 16)) * 1024
        let before = try fileSystem.extents(of: number, in: 0..<node.size)
        // The first extent's place: one as good as the other but for the checksum.
        image[leaf + 12 + 8] ^= 1
        let damaged = try Ext4FileSystem(volume: MemorySource(image))
        let after = try damaged.extents(of: number, in: 0..<node.size)
        let lost = after.filter { if case .unreadable = $0.content { true } else { false } }
        #expect(lost.map(\.fileOffset) == [from])
        #expect(lost.map(\.length) == [end - from])
        #expect(after.filter { $0.fileOffset < from } == before.filter { $0.fileOffset < from })
        #expect(after.filter { $0.fileOffset >= end } == before.filter { $0.fileOffset >= end })
    }

    @Test(arguments: ["punch <8> 3 5", "sif <8> block[0] 0"])
    func `a journal with a hole is refused, not taken for one that ends there`(
        command: String
    ) throws {
        let scratch = try Ext4Scratch()
        let path = scratch("image")
        let isPunched = command.hasPrefix("punch")
        let features = isPunched ? "has_journal" : "has_journal,^extent,^64bit"
        try Ext4Tool.mke2fs("-t ext4 -b 1024 -O \(features) -J size=1", size: "8M", at: path)
        try Ext4Tool.debugfs(path, write: [command, "feature +needs_recovery"])
        let error = #expect(throws: DiskError.self) { try openImage(path) }
        #expect(error?.reason == .inconsistent)
        #expect(error?.structure == "ext4 journal")
        _ = try Ext4FileSystem(volume: MemorySource(try imageBytes(path)), journal: .ignore)
    }

    @Test func `an attribute name with a zero byte is damage`() throws {
        let scratch = try Ext4Scratch()
        let path = scratch("image")
        try Ext4Tool.mke2fs("-t ext4 -O ^metadata_csum", size: "8M", at: path)
        try Ext4Tool.debugfs(path, write: ["write /bin/true file", "ea_set file user.name value"])
        var image = try imageBytes(path)
        let name = try #require(image.firstRange(of: Array("name".utf8) + [0]))
        let number = try #require(try openImage(path).lookup(Array("file".utf8), in: 2))
        #expect(try openImage(path).extendedAttributes(of: number).count == 1)
        image[name.lowerBound + 2] = 0
        let error = #expect(throws: DiskError.self) {
            try Ext4FileSystem(volume: MemorySource(image)).extendedAttributes(of: number)
        }
        #expect(error?.reason == .outOfRange)
    }

    @Test func `inodes that are not in use are no files`() throws {
        let scratch = try Ext4Scratch()
        let path = scratch("image")
        try Ext4Tool.mke2fs("-t ext4", size: "8M", at: path)
        let fileSystem = try openImage(path)
        for number in [0, 12, 13, fileSystem.summary.totalInodes + 1, .max] as [UInt64] {
            let error = #expect(throws: DiskError.self) { try fileSystem.inode(number) }
            #expect(error?.reason == .inconsistent)
        }
    }

    @Test(arguments: [(0x60, UInt32(0x1), "compression"), (0x60, 0x1000, "dirdata")])
    func `features that are not known are refused by name`(
        offset: Int,
        bit: UInt32,
        name: String
    ) throws {
        let scratch = try Ext4Scratch()
        let path = scratch("image")
        try Ext4Tool.mke2fs("-t ext4 -O ^metadata_csum", size: "8M", at: path)
        var image = try imageBytes(path)
        for index in 0..<4 {
            image[1024 + offset + index] |= UInt8(bit >> (8 * UInt32(index)) & 0xFF)
        }
        let error = #expect(throws: DiskError.self) {
            try Ext4FileSystem(volume: MemorySource(image))
        }
        #expect(error?.reason == .unsupported)
        #expect(error?.detail.contains(name) == true)
        let device = scratch("journal")
        try Ext4Tool.mke2fs("-O journal_dev -b 1024", size: "8M", at: device)
        let refusal = #expect(throws: DiskError.self) { try openImage(device) }
        #expect(refusal?.detail.contains("journal_dev") == true)
    }
}
