import Testing

@testable import DiskFormats

@Suite struct JournalReplayTests {
    /// A block whose bytes tell it from every other.
    private func content(_ image: JournalImage, _ seed: Int, isEscaped: Bool = false) -> [UInt8] {
        var bytes = (0..<image.blockSize).map { UInt8(truncatingIfNeeded: $0 * 7 + seed * 31 + 1) }
        if isEscaped { bytes.put(0xC03B_3998, at: 0) }
        return bytes
    }

    private func expectSameAsE2fsck(
        _ image: JournalImage,
        _ replay: JournalReplay,
        changes: Bool = true
    ) throws {
        let ours = try replay.volume.bytes(at: 0, count: image.bytes.count)
        let theirs = try image.replayedByE2fsck()
        #expect(image.differingBlocks(ours, theirs) == [])
        #expect((image.differingBlocks(image.bytes, theirs) != []) == changes)
    }

    /// Transactions that overwrite, escape, revoke, and write again what was revoked.
    private func write(_ forge: inout JournalForge) throws {
        let image = forge.image
        let free = try image.freeBlocks
        forge.transaction((0..<6).map { (free[$0], content(image, $0)) })
        forge.transaction([
            (free[1], content(image, 20, isEscaped: true)), (free[6], content(image, 21)),
        ])
        forge.transaction([(free[7], content(image, 30))], revoking: [free[2], free[3]])
        forge.transaction([(free[3], content(image, 40)), (free[3], content(image, 41))])
        forge.transaction([(free[0], content(image, 50))], revoking: [free[0]])
        forge.transaction([(free[8], content(image, 60)), (free[9], content(image, 61))])
        forge.transaction([(free[4], content(image, 70))], isCommitted: false)
    }

    @Test(
        arguments: [1024, 4096],
        [
            ("^metadata_csum,^64bit", ""), ("64bit,metadata_csum", ""),
            ("^metadata_csum,^64bit", "-c"),
        ]
            + [("metadata_csum,^64bit", "-c -v 2"), ("64bit,metadata_csum", "-c -v 2")]
            + [("metadata_csum,^64bit", "-c -v 3"), ("64bit,metadata_csum", "-c -v 3")]
    )
    func `a journal that debugfs wrote gives what e2fsck makes of it`(
        blockSize: Int,
        _ variant: (options: String, open: String)
    ) throws {
        let image = try JournalImage(blockSize: blockSize, options: variant.options)
        let free = try image.freeBlocks
        let first = try image.data((0..<5).flatMap { content(image, $0) })
        let second = try image.data(content(image, 9, isEscaped: true) + content(image, 10))
        let third = try image.data(content(image, 12))
        // debugfs finds the head of the log only when it opens the journal. Its version 1 sums
        // cover revoke blocks, which those of the kernel and e2fsck do not.
        let isVersion1 = variant.open == "-c"
        for write in [
            "-b \(free[0...4].map(String.init).joined(separator: ",")) \(first)",
            "-b \(free[1]),\(free[6]) \(isVersion1 ? "" : "-r \(free[2]),\(free[7])") \(second)",
            "-b \(free[2]) \(third)",
            isVersion1 ? "-b \(free[5]) \(third)" : "-r \(free[4])",
        ] {
            try image.debugfs([
                "journal_open \(variant.open)", "journal_write \(write)", "journal_close",
            ])
        }
        let replay = try image.replay()
        #expect(replay.problems == [])
        #expect(replay.transactions == 4)
        #expect(replay.blocks == (isVersion1 ? 7 : 5))
        try expectSameAsE2fsck(image, replay)
    }

    @Test(arguments: [0, 1, 2, 3], [false, true])
    func `each tag and checksum format gives what e2fsck makes of it`(
        checksums: Int,
        is64Bit: Bool
    ) throws {
        let image = try JournalImage()
        var forge = JournalForge(image, checksums: checksums, is64Bit: is64Bit)
        try write(&forge)
        let replay = try image.replay()
        #expect(replay.problems == [])
        #expect(replay.transactions == 6)
        #expect(replay.blocks == 8)
        try expectSameAsE2fsck(image, replay)
    }

    @Test(arguments: [0, 1, 3], Array(0..<14))
    func `a log that wraps anywhere with numbers that wrap gives what e2fsck makes of it`(
        checksums: Int,
        distance: Int
    ) throws {
        let image = try JournalImage()
        var forge = JournalForge(
            image,
            checksums: checksums,
            sequence: UInt32.max - UInt32(distance % 5),
            start: image.journalBlocks.count - 1 - distance
        )
        try write(&forge)
        let replay = try image.replay()
        #expect(replay.problems == [])
        #expect(replay.transactions == 6)
        try expectSameAsE2fsck(image, replay)
    }

    @Test(arguments: [1, 2, 3])
    func `a damaged commit block ends the replay before it, as with e2fsck`(
        checksums: Int
    ) throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: checksums)
        forge.transaction([(free[0], content(image, 1))])
        forge.transaction([(free[1], content(image, 2))])
        image.bytes[forge.lastCommit * image.blockSize + 17] ^= 1
        forge.transaction([(free[2], content(image, 3))])
        let replay = try image.replay()
        #expect(replay.transactions == 1)
        #expect(replay.problems.map(\.reason) == [.badChecksum])
        try expectSameAsE2fsck(image, replay)
    }

    @Test func `a transaction whose data does not match its version 1 sum is left out`() throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: 1, isAsynchronous: true)
        forge.transaction([(free[0], content(image, 1))])
        forge.transaction([(free[1], content(image, 2))])
        image.bytes[forge.lastData[0] * image.blockSize + 99] ^= 1
        let interrupted = try image.replay()
        #expect(interrupted.transactions == 1)
        #expect(interrupted.problems == [])
        try expectSameAsE2fsck(image, interrupted)
        forge.transaction([(free[2], content(image, 3))])
        let damaged = try image.replay()
        #expect(damaged.transactions == 1)
        #expect(damaged.problems.map(\.reason) == [.badChecksum])
        try expectSameAsE2fsck(image, damaged)
    }

    @Test(arguments: [2, 3])
    func `a damaged descriptor of a committed transaction is refused, and e2fsck replays nothing`(
        checksums: Int
    ) throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: checksums)
        forge.transaction([(free[0], content(image, 1))])
        forge.transaction([(free[1], content(image, 2)), (free[2], content(image, 3))])
        image.bytes[forge.lastDescriptor * image.blockSize + 500] ^= 1
        let error = #expect(throws: DiskError.self) { try image.replay() }
        #expect(error?.reason == .badChecksum)
        #expect(image.differingBlocks(image.bytes, try image.replayedByE2fsck()) == [])
    }

    @Test func `a damaged descriptor left by an earlier lap is the end of the log`() throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: 3)
        forge.transaction([(free[0], content(image, 1))])
        forge.time -= 1000
        forge.transaction([(free[1], content(image, 2))])
        image.bytes[forge.lastDescriptor * image.blockSize + 500] ^= 1
        let replay = try image.replay()
        #expect(replay.transactions == 1)
        #expect(replay.problems == [])
        try expectSameAsE2fsck(image, replay)
    }

    @Test(arguments: [2, 3])
    func `a damaged copy makes its block unreadable and no other`(checksums: Int) throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: checksums)
        forge.transaction([(free[0], content(image, 1)), (free[1], content(image, 2))])
        image.bytes[forge.lastData[1] * image.blockSize + 99] ^= 1
        let replay = try image.replay()
        #expect(replay.problems.map(\.reason) == [.badChecksum])
        let size = UInt64(image.blockSize)
        let good = try replay.volume.bytes(at: UInt64(free[0]) * size, count: image.blockSize)
        #expect(good == content(image, 1))
        let error = #expect(throws: DiskError.self) {
            try replay.volume.bytes(at: UInt64(free[1]) * size + size - 1, count: 1)
        }
        #expect(error?.reason == .badChecksum)
        #expect(error?.offset == UInt64(free[1]) * size)
        _ = try replay.volume.bytes(at: UInt64(free[1] + 1) * size, count: image.blockSize)
    }

    @Test(arguments: [0, 2, 3])
    func `a copy that the disk fails to deliver costs its block and no other`(
        checksums: Int
    ) throws {
        let image = try JournalImage()
        let free = try image.freeBlocks
        var forge = JournalForge(image, checksums: checksums)
        forge.transaction([(free[0], content(image, 1)), (free[1], content(image, 2))])
        let size = UInt64(image.blockSize)
        let place = UInt64(try #require(image.journalBlocks.firstIndex(of: forge.lastData[1])))
        let replay = try JournalReplay.scan(
            journal: BadSectors(image.journal, (place * size)..<(place * size + 512)),
            volume: image.volume,
            fileSystemBlockSize: image.blockSize
        )
        #expect(replay.transactions == 1)
        #expect(replay.problems.map(\.reason) == (checksums == 0 ? [] : [.unreadable]))
        let good = try replay.volume.bytes(at: UInt64(free[0]) * size, count: image.blockSize)
        #expect(good == content(image, 1))
        #expect(throws: DiskError.self) {
            try replay.volume.bytes(at: UInt64(free[1]) * size, count: image.blockSize)
        }
    }

    @Test func `an empty journal changes nothing`() throws {
        let image = try JournalImage()
        let replay = try image.replay()
        #expect(replay.transactions == 0)
        #expect(replay.blocks == 0)
        #expect(try replay.volume.bytes(at: 0, count: image.bytes.count) == image.bytes)
    }

    @Test func `reads and runs of any place and length see the same replaced blocks`() throws {
        let image = try JournalImage()
        var forge = JournalForge(image, checksums: 3)
        try write(&forge)
        let replay = try image.replay()
        let volume = replay.volume
        let whole = try volume.bytes(at: 0, count: image.bytes.count)
        let changed = whole.indices.filter { whole[$0] != image.bytes[$0] }
        let first = try #require(changed.first)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<3000 {
            let offset = Int.random(in: (first - 5000)..<(first + 20000), using: &random)
            let count = Int.random(in: 0..<5000, using: &random)
            let part = try volume.bytes(at: UInt64(offset), count: count)
            #expect(part == Array(whole[offset..<(offset + count)]))
        }
        var position: UInt64 = 0
        var replaced: UInt64 = 0
        while position < volume.byteCount {
            let run = try volume.run(at: position, limit: 50_000)
            #expect(run.length >= 1 && run.length <= 50_000)
            position += run.length
            if run.length < 50_000 { replaced += run.length }
        }
        #expect(position == volume.byteCount)
        #expect(replaced >= UInt64(replay.blocks * image.blockSize))
        #expect(throws: DiskError.self) { try volume.run(at: volume.byteCount, limit: 1) }
        #expect(throws: DiskError.self) { try volume.bytes(at: volume.byteCount, count: 1) }
    }
}
