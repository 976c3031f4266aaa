import Foundation
import Testing

@testable import DiskFormats

@Suite struct Ext4HostileTests {
    /// Small images that have each structure, made by e2fsprogs.
    static func image(_ options: String) throws -> [UInt8] {
        let scratch = try Ext4Scratch()
        let script = """
            set -e
            mkdir -p "$1/many/inner"; cd "$1"; printf 'a few words' > little
            for i in $(seq 1 60); do ln -f little many/a-rather-long-file-name-$i; done
            for i in $(seq 1 2 60); do
                printf x | dd of=holes bs=1024 seek=$i conv=notrunc status=none
            done
            head -c 30000 /dev/zero | tr '\\0' z > plain
            head -c 100 /dev/zero | tr '\\0' i > inline
            ln -s "$(printf 'l%.0s' $(seq 1 90))" slow; ln -s little fast
            setfattr -n user.small -v value little
            setfattr -n user.big -v "$(printf 'v%.0s' $(seq 1 600))" little
            """
        try Ext4Tool.run(["bash", "-c", script, "bash", scratch("tree")])
        let path = scratch("image")
        try Ext4Tool.mke2fs(options, size: "1M", tree: scratch("tree"), at: path)
        // Makes the index that mke2fs leaves out; status 1 says that it changed something.
        let (status, output) = try Ext4Tool.attempt(["e2fsck", "-fyD", path])
        try #require(status <= 1, "\(output)")
        return try imageBytes(path)
    }

    /// Opens and walks; nothing of that may trap or take long.
    @discardableResult
    static func walk(_ image: [UInt8]) -> Int {
        do {
            let fileSystem = try Ext4FileSystem(volume: MemorySource(image))
            let problems = fileSystem.summary.problems.count
            let walk = Ext4Listing(fileSystem, bytesMax: 1 << 18)
            _ = try? fileSystem.lookup(Array("plain".utf8), in: 2)
            if let many = walk.files["/many"]?.inode.number {
                _ = try? fileSystem.lookup(Array("a-rather-long-file-name-7".utf8), in: many)
            }
            return problems + walk.problems.count
        } catch {
            return 1
        }
    }

    static let values: [(value: UInt64, bytes: Int)] = [
        (0, 4), (0xFFFF_FFFF, 4), (0x7FFF_FFF8, 4), (3, 2), (0xFFFF, 2), (0x8000_000C, 4),
    ]

    @Test(arguments: [
        "-t ext4 -b 1024 -N 48 -O ^has_journal,^resize_inode,inline_data",
        "-t ext4 -b 1024 -N 48 -O ^has_journal,^resize_inode,bigalloc,ea_inode -C 2048",
        "-t ext2 -b 1024 -N 48 -O ^resize_inode",
        "-t ext4 -b 1024 -N 48 -O ^has_journal,^metadata_csum,^64bit,meta_bg,^resize_inode",
    ])
    func `no value in any field of any structure traps or hangs`(options: String) throws {
        let spoiler = try Ext4Spoiler(try Self.image(options))
        #expect(Self.walk(spoiler.image) == 0)
        for (structure, range) in spoiler.places {
            for offset in stride(from: range.lowerBound, to: range.upperBound - 3, by: 4) {
                let choice = (offset / 4 + offset / 64) % Self.values.count
                let (value, bytes) = Self.values[choice]
                Self.walk(
                    try spoiler.image(writing: value, bytes: bytes, at: offset, in: structure)
                )
            }
        }
    }

    @Test func `no truncation traps`() throws {
        let image = try Self.image("-t ext4 -b 1024 -N 48 -O ^has_journal,^resize_inode")
        let lengths =
            Array(stride(from: 0, to: 4096, by: 7)) + stride(from: 0, to: image.count, by: 512)
        var places = Set(lengths)
        if Soak.isOn {
            let spoiler = try Ext4Spoiler(image)
            for (_, range) in spoiler.places { places.formUnion(range) }
        }
        for length in places {
            let problems = Self.walk(Array(image[..<length]))
            #expect(problems > 0, "\(length)")
        }
    }

    @Test func `loops of directories, block maps and links end`() throws {
        let scratch = try Ext4Scratch()
        let path = scratch("image")
        try Ext4Tool.mke2fs("-t ext2 -b 1024 -O ^resize_inode", size: "1M", at: path)
        try Ext4Tool.debugfs(
            path,
            write: [
                "mkdir a", "cd a", "mkdir b", "cd b", "link <2> up", "symlink self self", "cd /",
                "write /bin/true map", "sif map size 16000000", "sif map block[IND] 500",
                "sif map block[DIND] 501", "sif map block[TIND] 502",
            ]
        )
        var image = try imageBytes(path)
        // Each level of the block map leads to itself.
        for block in 500...502 {
            for index in 0..<256 {
                image[block * 1024 + 4 * index] = UInt8(block & 0xFF)
                image[block * 1024 + 4 * index + 1] = UInt8(block >> 8)
            }
        }
        let fileSystem = try Ext4FileSystem(volume: MemorySource(image))
        let walk = Ext4Listing(fileSystem, bytesMax: 16 << 20)
        #expect(walk.files["/a/b/up"]?.inode.number == 2)
        #expect(walk.files["/a/b/self"]?.target == Array("self".utf8))
        #expect(walk.files["/map"]?.content.count == 16_000_000)
    }
}
