import Testing

@testable import DiskFormats

@Suite struct JournalHostileTests {
    /// A journal of every kind of block, cut to the few blocks that are used.
    private struct Small {
        var journal: [UInt8]
        let blockSize: Int
        let volume: MemorySource
        let blocksUsed: Int

        /// Scans, then reads all of the volume; whatever is wrong has to be an error.
        func open(_ bytes: [UInt8]) throws -> [UInt8] {
            let replay = try JournalReplay.scan(
                journal: MemorySource(bytes),
                volume: volume,
                fileSystemBlockSize: blockSize
            )
            #expect(replay.problems.count <= 64)
            var position: UInt64 = 0
            while position < volume.byteCount {
                position += try replay.volume.run(at: position, limit: 1 << 30).length
            }
            return try replay.volume.bytes(at: 0, count: Int(volume.byteCount))
        }
    }

    private func small(checksums: Int, isAsynchronous: Bool = false) throws -> Small {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: checksums, isAsynchronous: isAsynchronous)
        let data = { (seed: UInt8) in [UInt8](repeating: seed, count: image.blockSize) }
        forge.transaction([(free[0], data(1)), (free[1], data(2))])
        forge.transaction([(free[2], data(3))], revoking: [free[1]])
        let used = forge.position
        let length = used + 3
        var journal = image.journalBlocks.prefix(length).flatMap {
            image.bytes[($0 * image.blockSize)..<(($0 + 1) * image.blockSize)]
        }
        journal.put(UInt32(length), at: 0x10)
        seal(&journal, checksums)
        let end = (free[2] + 2) * image.blockSize
        return Small(
            journal: journal,
            blockSize: image.blockSize,
            volume: MemorySource(Array(image.bytes[..<end])),
            blocksUsed: used
        )
    }

    /// Makes the superblock's checksum right again.
    private func seal(_ journal: inout [UInt8], _ checksums: Int) {
        guard checksums >= 2 else { return }
        journal.put(0, at: 0xFC)
        var crc = CRC32C()
        crc.add(Array(journal[..<1024]))
        journal.put(crc.value, at: 0xFC)
    }

    @Test(arguments: [0, 1, 2, 3])
    func `every truncation throws and none traps`(checksums: Int) throws {
        let small = try small(checksums: checksums)
        _ = try small.open(small.journal)
        for count in stride(from: 0, to: small.journal.count, by: Soak.step(13)) {
            #expect(throws: DiskError.self) { try small.open(Array(small.journal[..<count])) }
        }
    }

    /// Each byte that has a meaning, in each block of the log.
    private func offsets(_ small: Small) -> [Int] {
        let size = small.blockSize
        let inSuperblock = Array(0..<0x60) + Array(0xFC..<0x100)
        return inSuperblock
            + (1..<small.blocksUsed).flatMap { block in
                (Array(0..<72) + Array((size - 4)..<size)).map { block * size + $0 }
            }
    }

    @Test(arguments: [0, 1, 2, 3], [false, true])
    func `any byte changed is an error or a replay, never a trap or a hang`(
        checksums: Int,
        isAsynchronous: Bool
    ) throws {
        let small = try small(checksums: checksums, isAsynchronous: isAsynchronous)
        for offset in offsets(small) {
            for value: UInt8 in [0, 1, 0x7F, 0x80, 0xFF, small.journal[offset] ^ 4] {
                var journal = small.journal
                journal[offset] = value
                if offset < 1024 { seal(&journal, checksums) }
                _ = try? small.open(journal)
            }
        }
    }

    @Test(arguments: [0, 3])
    func `any field at its limits is an error or a replay, never a trap or a hang`(
        checksums: Int
    ) throws {
        let small = try small(checksums: checksums)
        for offset in offsets(small) where offset % 4 == 0 {
            for value: UInt32 in [0, 1, 2, 3, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF] {
                var journal = small.journal
                journal.put(value, at: offset)
                if offset < 1024 { seal(&journal, checksums) }
                _ = try? small.open(journal)
            }
        }
    }

    @Test func `a log without end is taken for one without commit`() throws {
        var small = try small(checksums: 0)
        let size = small.blockSize
        // Every block is a revoke block of the first transaction.
        for block in 1..<(small.journal.count / size) {
            small.journal.put(0xC03B_3998, at: block * size)
            small.journal.put(5, at: block * size + 4)
            small.journal.put(7, at: block * size + 8)
            small.journal.put(16, at: block * size + 12)
        }
        let replay = try JournalReplay.scan(
            journal: MemorySource(small.journal),
            volume: small.volume,
            fileSystemBlockSize: size
        )
        #expect(replay.transactions == 0)
        #expect(replay.problems.map(\.reason) == [.inconsistent])
    }

    @Test func `a copy of a block outside the volume is reported and left out`() throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: 3)
        let data = [UInt8](repeating: 9, count: image.blockSize)
        forge.transaction([(Int(UInt32.max), data), (free[0], data), (0x1000_0000, data)])
        let replay = try image.replay()
        #expect(replay.blocks == 1)
        #expect(replay.problems.map(\.reason) == [.outOfRange, .outOfRange])
    }

    @Test func `a revoke block with more records than it holds is an error`() throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: 0)
        let data = [UInt8](repeating: 9, count: image.blockSize)
        forge.transaction([(free[0], data)], revoking: [free[1]])
        image.bytes.put(2000, at: forge.lastRevoke * image.blockSize + 12)
        let error = #expect(throws: DiskError.self) { try image.replay() }
        #expect(error?.reason == .outOfRange)
    }

    @Test func `what the journal's superblock asks for and is unknown is refused by name`() throws {
        let small = try small(checksums: 0)
        var unknown = small.journal
        unknown.put(0x41, at: 0x28)
        #expect(throws: DiskError.self) { try small.open(unknown) }
        do {
            _ = try small.open(unknown)
        } catch let error as DiskError {
            #expect(error.reason == .unsupported)
            #expect(error.description.contains("0x40"))
        }
        #expect(throws: DiskError.self) {
            try JournalReplay.scan(
                journal: MemorySource(small.journal),
                volume: small.volume,
                fileSystemBlockSize: 4096
            )
        }
    }

    @Test(arguments: [true, false])
    func `fast commits that count are refused by name, others are not`(isExpected: Bool) throws {
        let image = try JournalImage(journalMiB: 2)
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: 3, fastCommitBlocks: 256)
        forge.transaction([(free[0], [UInt8](repeating: 9, count: image.blockSize))])
        #expect(try image.replay().transactions == 1)

        // A head, a creation and a tail, as ext4 writes them behind the log's end.
        let sequence = isExpected ? forge.sequence : forge.sequence - 1
        var bytes: [UInt8] = [9, 0, 8, 0, 0, 0, 0, 0]
        bytes += little(sequence) + [4, 0, 4, 0, 1, 2, 3, 4] + [8, 0, 8, 0] + little(sequence)
        var crc = CRC32C(seed: 0)
        crc.add(bytes)
        bytes += little(crc.value)
        let block = image.journalBlocks[image.journalBlocks.count - 256 + 1]
        let start = block * image.blockSize
        image.bytes.replaceSubrange(start..<(start + bytes.count), with: bytes)
        guard isExpected else {
            #expect(try image.replay().problems == [])
            return
        }
        let error = #expect(throws: DiskError.self) { try image.replay() }
        #expect(error?.reason == .unsupported)
        #expect(error?.description.contains("fast commit") == true)

        image.bytes[start + bytes.count - 1] ^= 1
        #expect(try image.replay().problems.map(\.reason) == [.inconsistent])
    }

    private func little(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
}
