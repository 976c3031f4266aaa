import Testing

@testable import DiskFormats

/// Inodes and extents at the limits of what their fields can say.
@Suite struct Ext4BoundaryTests {
    /// A file system of 65,536 blocks of 1 KiB with a file, whose inode the tests write anew.
    private final class Bench {
        let image: MemorySource
        let number: UInt64
        let place: Int

        init(_ options: String = "-t ext4 -b 1024 -I 256 -O ^metadata_csum,^has_journal") throws {
            let scratch = try Ext4Scratch()
            let path = scratch("image")
            try Ext4Tool.mke2fs(options, size: "64M", at: path)
            try Ext4Tool.debugfs(path, write: ["write /etc/os-release file"])
            image = MemorySource(try imageBytes(path))
            let fileSystem = try Ext4FileSystem(volume: image)
            number = try #require(try fileSystem.lookup(Array("file".utf8), in: 2))
            place = Int(try fileSystem.node(number).offset)
        }

        /// The file system with `fields` of the inode changed: offset and little-endian bytes.
        func opened(_ fields: [(Int, [UInt8])]) throws -> Ext4FileSystem {
            var volume: any BlockSource = image
            for (offset, bytes) in fields { volume = volume.patched(bytes, at: place + offset) }
            return try Ext4FileSystem(volume: volume)
        }

        /// What the file consists of with these extents: first block, length field, start.
        func extents(
            _ entries: [(UInt32, UInt16, UInt64)],
            size: UInt64
        ) throws -> (inode: Inode, extents: [FileExtent]) {
            var root = little(UInt16(0xF30A)) + little(UInt16(entries.count)) + little(UInt16(4))
            root += little(UInt16(0)) + little(UInt32(0))
            for (first, length, start) in entries {
                root += little(first) + little(length) + little(UInt16(start >> 32))
                root += little(UInt32(truncatingIfNeeded: start))
            }
            let low = little(UInt32(truncatingIfNeeded: size))
            let fileSystem = try opened([
                (0x04, low), (0x6C, little(UInt32(size >> 32))), (0x28, root),
            ])
            return (
                try fileSystem.inode(number),
                try fileSystem.extents(of: number, in: 0..<size)
            )
        }
    }

    private func isUnreadable(_ extent: FileExtent) -> Bool {
        if case .unreadable = extent.content { true } else { false }
    }

    @Test func `lengths up to 32768 are data, those above are blocks never written`() throws {
        let bench = try Bench()
        for (length, blocks, isWritten) in [
            (0x0001, 1, true), (0x7FFF, 0x7FFF, true), (0x8000, 0x8000, true),
            (0x8001, 1, false), (0x8002, 2, false), (0xFFFF, 0x7FFF, false),
        ] as [(UInt16, UInt64, Bool)] {
            let size = blocks << 10
            let (inode, extents) = try bench.extents([(0, length, 1000)], size: size)
            let content: FileExtent.Content = isWritten ? .volume(offset: 1000 << 10) : .unwritten
            #expect(extents == [FileExtent(fileOffset: 0, length: size, content: content)])
            #expect(inode.contiguousOffset == (isWritten ? 1000 << 10 : nil), "\(length)")
        }
        #expect(try bench.extents([(0, 0, 1000)], size: 1024).extents.allSatisfy(isUnreadable))
    }

    @Test func `an extent lies within the file system or is unreadable`() throws {
        let bench = try Bench()
        for (start, isInside) in [
            (2, true), (65_536 - 4, true), (1, false), (0, false), (65_536 - 3, false),
            (1 << 32 | 1000, false), (0xFFFF_FFFF_FFFF, false),
        ] as [(UInt64, Bool)] {
            let (inode, extents) = try bench.extents([(0, 4, start)], size: 4096)
            if isInside {
                let content = FileExtent.Content.volume(offset: start << 10)
                #expect(extents == [FileExtent(fileOffset: 0, length: 4096, content: content)])
            } else {
                #expect(extents.count == 1 && extents.allSatisfy(isUnreadable), "\(start)")
            }
            #expect((inode.contiguousOffset != nil) == isInside)
        }
    }

    @Test func `extents that overlap or leave the file's range are unreadable, gaps are holes`()
        throws
    {
        let bench = try Bench()
        let gap = try bench.extents([(0, 2, 1000), (4, 2, 2000)], size: 7168).extents
        #expect(gap.map(\.length) == [2048, 2048, 2048, 1024])
        #expect(gap[1].content == .hole && gap[3].content == .hole)
        for entries in [
            [(0, 4, 1000), (3, 2, 2000)], [(4, 2, 1000), (0, 2, 2000)],
            [(0, 1, 1000), (0xFFFF_FFFF, 2, 2000)],
        ] as [[(UInt32, UInt16, UInt64)]] {
            let extents = try bench.extents(entries, size: 7168).extents
            #expect(extents.allSatisfy(isUnreadable), "\(entries)")
        }
    }

    @Test func `an inode without links is deleted, and one without type no file`() throws {
        let bench = try Bench()
        for (offset, bytes, reason) in [
            (0x1A, [0, 0], .inconsistent), (0, [0, 0], .inconsistent),
            (0, [0xA4, 0x31], .outOfRange),
        ] as [(Int, [UInt8], DiskError.Reason)] {
            let fileSystem = try bench.opened([(offset, bytes)])
            let error = #expect(throws: DiskError.self) { try fileSystem.inode(bench.number) }
            #expect(error?.reason == reason)
        }
    }

    @Test func `owners have 32 bits, and space is counted in blocks for huge files`() throws {
        let bench = try Bench()
        let flags = little(UInt32(0x8_0000 | 0x4_0000))
        let inode = try bench.opened([
            (0x02, [0x34, 0x12]), (0x78, [0x78, 0x56]), (0x18, [1, 0]), (0x7A, [2, 0]),
            (0x1C, [3, 0, 0, 0]), (0x74, [1, 0]), (0x20, flags),
        ]).inode(bench.number)
        #expect(inode.userID == 0x5678_1234 && inode.groupID == 0x2_0001)
        #expect(inode.allocatedBytes == (1 << 32 + 3) * 1024)
        let plain = try bench.opened([(0x1C, [3, 0, 0, 0])]).inode(bench.number)
        #expect(plain.allocatedBytes == 3 * 512)
    }

    @Test func `seconds have two bits more and nanoseconds thirty`() throws {
        let bench = try Bench()
        for epoch in Int64(0)...3 {
            let extra = little(UInt32(999_999_999) << 2 | UInt32(epoch))
            let inode = try bench.opened([(0x10, little(Int32(-2))), (0x88, extra)])
                .inode(bench.number)
            let seconds = epoch << 32 - 2
            #expect(inode.modified == Timestamp(seconds: seconds, nanoseconds: 999_999_999))
        }
    }

    @Test func `numbers of devices have 12 and 20 bits`() throws {
        let bench = try Bench()
        let code: UInt32 = 0xABCD_EF12
        let root = little(UInt32(0)) + little(code)
        let inode = try bench.opened([(0, [0xB4, 0x61]), (0x20, [0, 0, 0, 0]), (0x28, root)])
            .inode(bench.number)
        // Linux include/linux/kdev_t.h, new_decode_dev().
        #expect(inode.device?.major == (code & 0xFFF00) >> 8)
        #expect(inode.device?.minor == (code & 0xFF) | (code >> 12 & 0xFFF00))
    }

    @Test(arguments: ["^metadata_csum", "metadata_csum"])
    func `a dirty journal is replayed where only a backup of the superblock is left`(
        checksums: String
    ) throws {
        let scratch = try Ext4Scratch()
        let path = scratch("image")
        try Ext4Tool.mke2fs("-t ext4 -b 1024 -O \(checksums)", size: "32M", at: path)
        let listing = try Ext4Tool.debugfs(path, "ffb 1")
        let block = try #require(
            listing.split(whereSeparator: \.isWhitespace).first { UInt64($0) != nil }
        )
        try Ext4Tool.run(["bash", "-c", "yes | head -c 1024 > \(scratch("data"))"])
        let open = checksums.hasPrefix("^") ? "journal_open" : "journal_open -c -v 3"
        try Ext4Tool.debugfs(
            path,
            write: [open, "journal_write -b \(block) \(scratch("data"))", "journal_close"]
        )
        var image = try imageBytes(path)
        image.replaceSubrange(1024..<2048, with: [UInt8](repeating: 0, count: 1024))
        let place = try #require(UInt64(block)) << 10
        let fileSystem = try Ext4FileSystem(volume: MemorySource(image))
        let bytes = try fileSystem.volume.bytes(at: place, count: 1024)
        #expect(bytes.starts(with: Array("y\ny\n".utf8)))
    }
}

private func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    (0..<T.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}
