import Testing

@testable import DiskFormats

/// Logs at their limits: full blocks, a full log, and what stands behind the last transaction.
@Suite struct JournalBoundaryTests {
    private func content(_ image: JournalImage, _ seed: Int) -> [UInt8] {
        (0..<image.blockSize).map { UInt8(truncatingIfNeeded: $0 * 7 + seed * 31 + 1) }
    }

    /// Replays with the problems that are expected, and compares with e2fsck.
    @discardableResult
    private func expectSameAsE2fsck(
        _ image: JournalImage,
        _ reasons: [DiskError.Reason] = []
    ) throws -> JournalReplay {
        let replay = try image.replay()
        #expect(replay.problems.map(\.reason) == reasons)
        let ours = try replay.volume.bytes(at: 0, count: image.bytes.count)
        #expect(image.differingBlocks(ours, try image.replayedByE2fsck()) == [])
        return replay
    }

    @Test func `a log that is full to its last block is replayed whole`() throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: 3, start: 100)
        // Descriptor, data and commit block each.
        let count = (image.journalBlocks.count - 1) / 3
        #expect(count * 3 == image.journalBlocks.count - 1)
        for index in 0..<count {
            forge.transaction([(free[index % 20], content(image, index))])
        }
        #expect(try expectSameAsE2fsck(image).transactions == count)
    }

    @Test func `a descriptor block full of tags is read to its last one`() throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: 3)
        // 12 bytes of header, 16 of UUID, 62 tags of 16, 4 of checksum.
        forge.transaction((0..<62).map { (free[$0 % 30], content(image, $0)) })
        forge.transaction([(free[31], content(image, 99))])
        #expect(try expectSameAsE2fsck(image).transactions == 2)
    }

    @Test func `the checksum behind the last tag is not taken for one`() throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: 2, is64Bit: true)
        // 70 tags of 14 bytes leave two bytes before the checksum: no room for another.
        forge.transaction((0..<70).map { (free[$0 % 30], content(image, $0)) })
        let flags = forge.lastDescriptor * image.blockSize + 12 + 16 + 69 * 14 + 7
        #expect(image.bytes[flags] & 8 != 0)
        image.bytes[flags] &= ~8
        forge.reseal(forge.lastDescriptor)
        #expect(try expectSameAsE2fsck(image).transactions == 1)
    }

    @Test func `a revoke block full of records counts to its last one`() throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: 3)
        forge.transaction([(free[0], content(image, 1)), (free[1], content(image, 2))])
        // 16 bytes of header, 251 records of 4, 4 of checksum.
        forge.transaction([], revoking: (0..<250).map { 5000 + $0 } + [free[0]])
        #expect(try expectSameAsE2fsck(image).blocks == 1)
    }

    @Test(arguments: [2, 3])
    func `a damaged revoke block of a committed transaction is refused`(checksums: Int) throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: checksums)
        forge.transaction([(free[0], content(image, 1))])
        forge.transaction([(free[1], content(image, 2))], revoking: [free[0]])
        image.bytes[forge.lastRevoke * image.blockSize + 500] ^= 1
        let error = #expect(throws: DiskError.self) { try image.replay() }
        #expect(error?.reason == .badChecksum)
        #expect(image.differingBlocks(image.bytes, try image.replayedByE2fsck()) == [])
    }

    @Test func `what was revoked and never committed stays`() throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: 0)
        forge.transaction([(free[0], content(image, 1))])
        forge.transaction([], revoking: [free[0]], isCommitted: false)
        #expect(try expectSameAsE2fsck(image).blocks == 1)
    }

    @Test func `a transaction after one without commit is not part of it`() throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: 0)
        forge.transaction([(free[0], content(image, 1))])
        forge.transaction([(free[1], content(image, 2))], isCommitted: false)
        forge.sequence += 1
        forge.transaction([(free[2], content(image, 3))])
        #expect(try expectSameAsE2fsck(image).blocks == 1)
    }

    @Test func `a version 1 commit block that was written without a sum counts`() throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: 1)
        forge.transaction([(free[0], content(image, 1))])
        let commit = forge.lastCommit * image.blockSize
        for offset in 12..<20 { image.bytes[commit + offset] = 0 }
        #expect(try expectSameAsE2fsck(image).transactions == 1)
    }

    @Test(arguments: [2, 3])
    func `of a commit block its first 64 bytes need have reached the disk`(checksums: Int) throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: checksums)
        forge.transaction([(free[0], content(image, 1))])
        image.bytes[forge.lastCommit * image.blockSize + 64] ^= 1
        let replay = try image.replay()
        #expect(replay.transactions == 1 && replay.problems == [])
        image.bytes[forge.lastCommit * image.blockSize + 63] ^= 1
        #expect(try image.replay().transactions == 0)
    }

    @Test func `numbers of blocks have 64 bits where the journal says so`() throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: 0, is64Bit: true)
        forge.transaction([(free[0], content(image, 1))])
        forge.transaction([(free[1], content(image, 2))], revoking: [free[0]])
        // Block 2^32 + free[1], which is not there, and a record of 2^32 + free[0].
        image.bytes.put(1, at: forge.lastDescriptor * image.blockSize + 12 + 8)
        image.bytes.put(1, at: forge.lastRevoke * image.blockSize + 16)
        let replay = try image.replay()
        #expect(replay.problems.map(\.reason) == [.outOfRange])
        #expect(replay.blocks == 1)
        let place = UInt64(free[0] * image.blockSize)
        #expect(try replay.volume.bytes(at: place, count: image.blockSize) == content(image, 1))
    }

    @Test func `a copy of the block in which the volume ends is used as far as that goes`() throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: 3)
        forge.transaction([(free[0], content(image, 1))])
        let start = free[0] * image.blockSize
        let replay = try JournalReplay.scan(
            journal: image.journal,
            volume: MemorySource(Array(image.bytes[..<(start + 512)])),
            fileSystemBlockSize: image.blockSize
        )
        #expect(replay.problems == [])
        let end = try replay.volume.bytes(at: UInt64(start), count: 512)
        #expect(end == Array(content(image, 1)[..<512]))
        #expect(try replay.volume.run(at: UInt64(start), limit: .max).length == 512)
    }
}

/// What the journal's superblock says.
@Suite struct JournalSuperblockTests {
    @Test(arguments: [2, 3])
    func `one whose checksum is wrong is refused`(checksums: Int) throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: checksums)
        forge.transaction([(free[0], [UInt8](repeating: 1, count: image.blockSize))])
        image.bytes[image.journalBlocks[0] * image.blockSize + 0x1B] ^= 1
        let error = #expect(throws: DiskError.self) { try image.replay() }
        #expect(error?.reason == .badChecksum)
    }

    @Test func `a log that is said to begin behind its end is refused`() throws {
        let image = try JournalImage()
        _ = JournalForge(image, checksums: 0)
        let place = image.journalBlocks[0] * image.blockSize + 0x1C
        image.bytes.put(UInt32(image.journalBlocks.count - 1), at: place)
        #expect(try image.replay().transactions == 0)
        image.bytes.put(UInt32(image.journalBlocks.count), at: place)
        let error = #expect(throws: DiskError.self) { try image.replay() }
        #expect(error?.reason == .outOfRange)
    }

    @Test func `the error with which the guest's kernel gave up is reported`() throws {
        let image = try JournalImage()
        _ = JournalForge(image, checksums: 0)
        let eio = UInt32(bitPattern: -5)
        image.bytes.put(eio, at: image.journalBlocks[0] * image.blockSize + 0x20)
        let replay = try image.replay()
        #expect(replay.problems.map(\.detail).contains { $0.hasSuffix("error -5") })
    }

    @Test func `a fast-commit area without a size has 256 blocks`() throws {
        let image = try JournalImage(journalMiB: 2)
        let free = try image.freeBlocks
        let start = image.journalBlocks.count - 256 - 3
        var forge = JournalForge(image, checksums: 0, fastCommitBlocks: 256, start: start)
        image.bytes.put(0, at: image.journalBlocks[0] * image.blockSize + 0x54)
        // The log wraps before the area.
        let data = { (seed: UInt8) in [UInt8](repeating: seed, count: image.blockSize) }
        forge.transaction([(free[0], data(1))])
        forge.transaction([(free[1], data(2))])
        #expect(try image.replay().transactions == 2)
    }
}
