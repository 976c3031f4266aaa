import Testing

@testable import DiskFormats

/// Which copy of a superblock or group descriptor is taken where one of them is damaged.
@Suite struct Ext4BackupTests {
    /// A file system of eight groups of 8,192 blocks of 1 KiB.
    private func volume(_ features: String) throws -> MemorySource {
        let scratch = try Ext4Scratch()
        let path = scratch("image")
        let options = "-t ext4 -b 1024 -L right -O ^has_journal,^resize_inode,\(features)"
        try Ext4Tool.mke2fs(options, size: "64M", at: path)
        return MemorySource(try imageBytes(path))
    }

    /// The problems of opening `volume`, whose root directory has to be found all the same.
    private func problems(of volume: any BlockSource) throws -> [DiskError] {
        let fileSystem = try Ext4FileSystem(volume: volume)
        #expect(try fileSystem.inode(2).type == .directory)
        #expect(try fileSystem.lookup(Array("lost+found".utf8), in: 2) == 11)
        return fileSystem.summary.problems
    }

    private static let table = 2048

    @Test(arguments: ["metadata_csum,64bit", "metadata_csum,^64bit", "^metadata_csum,uninit_bg"])
    func `a descriptor whose checksum alone is wrong gives way to its backup`(
        features: String
    ) throws {
        let volume = try volume(features)
        #expect(try problems(of: volume) == [])
        let byte = try volume.bytes(at: UInt64(Self.table) + 8, count: 1)[0]
        let found = try problems(of: volume.patched([byte ^ 1], at: Self.table + 8))
        #expect(found.map(\.reason) == [.badChecksum])
        #expect(found.map(\.structure) == ["ext4 group descriptor 0"])
    }

    @Test func `the upper half of an inode table's place counts`() throws {
        let volume = try volume("^metadata_csum,^uninit_bg,64bit")
        let found = try problems(of: volume.patched([1], at: Self.table + 0x28))
        #expect(found.map(\.reason) == [.outOfRange])
    }

    @Test func `a lost descriptor block of meta_bg is found in the second group`() throws {
        let volume = try volume("^metadata_csum,^uninit_bg,64bit,meta_bg")
        let zeros = [UInt8](repeating: 0, count: 1024)
        let found = try problems(of: volume.patched(zeros, at: Self.table))
        #expect(found.map(\.reason) == [.outOfRange])
        // Group 1 has a copy of the superblock before it.
        #expect(found.first?.detail.contains("byte \((8193 + 1) * 1024)") == true)
    }

    @Test func `a backup superblock that is damaged too is passed over`() throws {
        let volume = try volume("metadata_csum,64bit")
        let zeros = [UInt8](repeating: 0, count: 1024)
        let lost = volume.patched(zeros, at: 1024)
        let first = 8193 * 1024
        #expect(try problems(of: lost).first?.detail.contains("byte \(first)") == true)
        let both = lost.patched(Array("wrong".utf8), at: first + 0x78)
        #expect(try Ext4FileSystem(volume: both).summary.label == Array("right".utf8))
        let third = (3 * 8192 + 1) * 1024
        #expect(try problems(of: both).first?.detail.contains("byte \(third)") == true)
    }

    @Test func `a name that may have stood in a damaged block is no absent one`() throws {
        let volume = try volume("metadata_csum,64bit")
        let fileSystem = try Ext4FileSystem(volume: volume)
        #expect(try fileSystem.lookup(Array("absent".utf8), in: 2) == nil)
        let extent = try fileSystem.extents(of: 2, in: 0..<1024).first?.content
        guard case .volume(let place)? = extent else {
            Issue.record("the root directory has no block")
            return
        }
        // A name of which only the checksum knows that it is another.
        let name = try volume.bytes(at: place, count: 1024).firstRange(of: Array("lost+found".utf8))
        let start = Int(place) + (try #require(name).lowerBound)
        let damaged = try Ext4FileSystem(volume: volume.patched([0x4C], at: start))
        for wanted in ["absent", "Lost+found", "lost+found"] {
            let error = #expect(throws: DiskError.self) {
                try damaged.lookup(Array(wanted.utf8), in: 2)
            }
            #expect(error?.reason == .badChecksum)
        }
    }
}
