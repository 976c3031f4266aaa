import Foundation
import Testing

@testable import DiskFormats

@Suite struct Ext4HostileTests {
    /// Small images that have each structure, made by e2fsprogs.
    static func image(_ options: String) throws -> [UInt8] {
        let scratch = try Scratch()
        let script = """
            set -e
            mkdir -p "$1/many/inner"; cd "$1"
            for i in $(seq 1 120); do : > many/a-rather-long-file-name-$i; done
            for i in $(seq 1 2 60); do
                printf x | dd of=holes bs=1024 seek=$i conv=notrunc status=none
            done
            head -c 30000 /dev/zero | tr '\\0' z > plain
            printf 'a few words' > little
            head -c 100 /dev/zero | tr '\\0' i > inline
            ln -s "$(printf 'l%.0s' $(seq 1 90))" slow; ln -s little fast
            setfattr -n user.small -v value little
            setfattr -n user.big -v "$(printf 'v%.0s' $(seq 1 600))" little
            """
        try Tool.run(["bash", "-c", script, "bash", scratch("tree")])
        let path = scratch("image")
        try Tool.mke2fs(options, size: "1M", tree: scratch("tree"), at: path)
        // Makes the index that mke2fs leaves out; status 1 says that it changed something.
        let (status, output) = try Tool.attempt(["e2fsck", "-fyD", path])
        try #require(status <= 1, "\(output)")
        return try imageBytes(path)
    }

    /// Opens and walks; nothing of that may trap or take long.
    @discardableResult
    static func walk(_ image: [UInt8]) -> Int {
        do {
            let fileSystem = try Ext4FileSystem(volume: MemorySource(image))
            _ = fileSystem.summary
            let walk = TreeWalk(fileSystem, bytesMax: 1 << 18)
            _ = try? fileSystem.lookup(Array("plain".utf8), in: 2)
            if let many = walk.files["/many"]?.inode.number {
                _ = try? fileSystem.lookup(Array("a-rather-long-file-name-7".utf8), in: many)
            }
            return walk.problems.count
        } catch {
            return 1
        }
    }

    static let values: [(value: UInt64, bytes: Int)] = [
        (0, 4), (0xFFFF_FFFF, 4), (0x7FFF_FFF8, 4), (3, 2), (0xFFFF, 2), (0x8000_000C, 4),
    ]

    @Test(arguments: [
        "-t ext4 -b 1024 -N 160 -O ^has_journal,^resize_inode,inline_data",
        "-t ext4 -b 1024 -N 160 -O ^has_journal,^resize_inode,bigalloc,ea_inode -C 2048",
        "-t ext2 -b 1024 -N 160 -O ^resize_inode",
        "-t ext4 -b 1024 -N 160 -O ^has_journal,^metadata_csum,^64bit,meta_bg,^resize_inode",
    ])
    func `no value in any field of any structure traps or hangs`(options: String) throws {
        let spoiler = try Spoiler(try Self.image(options))
        #expect(Self.walk(spoiler.image) == 0)
        var blank = 0
        let start = ContinuousClock.now
        for (structure, range) in spoiler.places {
            for offset in stride(from: range.lowerBound, to: range.upperBound - 3, by: 4) {
                // Files without a name or content of note are all alike.
                if case .inode = structure, spoiler.image[offset..<(offset + 4)] == [0, 0, 0, 0] {
                    blank += 1
                    guard blank % 16 == 0 else { continue }
                }
                let (value, bytes) = Self.values[(offset / 4 + offset / 64) % Self.values.count]
                Self.walk(
                    try spoiler.image(writing: value, bytes: bytes, at: offset, in: structure)
                )
            }
        }
        print(options, spoiler.places.count, ContinuousClock.now - start)
    }
}
