@testable import DiskFormats

/// Writes a jbd2 log into an image, for what debugfs cannot write: a log that wraps, sequence
/// numbers at their limit, checksum version 1, stale and damaged blocks.
///
/// It is not a judge: the tests compare with what e2fsck makes of the same image.
struct JournalForge {
    var image: JournalImage
    /// 0 to 3: which version of checksums.
    var checksums: Int
    var is64Bit = false
    var isAsynchronous = false
    var fastCommitBlocks: UInt32 = 0
    var sequence: UInt32
    var position: Int
    var time: UInt64 = 1_700_000_000

    /// Where the last blocks of each kind were written, as block numbers of the image.
    var lastDescriptor = 0
    var lastData: [Int] = []
    var lastRevoke = 0
    var lastCommit = 0

    private let uuid: [UInt8] = Array(repeating: 0xAB, count: 16)
    private var end: Int { image.journalBlocks.count - Int(fastCommitBlocks) }

    init(
        _ image: JournalImage,
        checksums: Int,
        is64Bit: Bool = false,
        isAsynchronous: Bool = false,
        fastCommitBlocks: UInt32 = 0,
        sequence: UInt32 = 7,
        start: Int = 1
    ) {
        self.image = image
        self.checksums = checksums
        self.is64Bit = is64Bit
        self.isAsynchronous = isAsynchronous
        self.fastCommitBlocks = fastCommitBlocks
        self.sequence = sequence
        position = start
        writeSuperblock(start: UInt32(start))
    }

    mutating func writeSuperblock(start: UInt32) {
        let block = image.journalBlocks[0]
        var features: UInt32 = 1 | (is64Bit ? 2 : 0) | (isAsynchronous ? 4 : 0)
        features |= [0, 0, 8, 16][checksums] | (fastCommitBlocks > 0 ? 32 : 0)
        var bytes = [UInt8](repeating: 0, count: 1024)
        bytes.put(0xC03B_3998, at: 0)
        bytes.put(4, at: 4)
        bytes.put(UInt32(image.blockSize), at: 0x0C)
        bytes.put(UInt32(image.journalBlocks.count), at: 0x10)
        bytes.put(1, at: 0x14)
        bytes.put(sequence, at: 0x18)
        bytes.put(start, at: 0x1C)
        bytes.put(checksums == 1 ? 1 : 0, at: 0x24)
        bytes.put(features, at: 0x28)
        bytes.replaceSubrange(0x30..<0x40, with: uuid)
        bytes.put(1, at: 0x40)
        bytes.put(fastCommitBlocks, at: 0x54)
        if checksums >= 2 {
            bytes[0x50] = 4
            bytes.put(crc32c(~0, bytes), at: 0xFC)
        }
        put(bytes, block)
        image.bytes[1024 + 0x60] |= 4  // needs_recovery
    }

    /// Writes a transaction; `sameUUID` false puts a UUID behind the first tag, as the kernel does.
    mutating func transaction(
        _ blocks: [(Int, [UInt8])],
        revoking revoked: [Int] = [],
        isCommitted: Bool = true
    ) {
        var sum: UInt32 = ~0
        if !blocks.isEmpty { writeBlocks(blocks, &sum) }
        if !revoked.isEmpty { writeRevoke(revoked) }
        guard isCommitted else { return }
        writeCommit(sum)
        sequence &+= 1
    }

    private mutating func writeBlocks(_ blocks: [(Int, [UInt8])], _ sum: inout UInt32) {
        var descriptor = header(1)
        var offset = 12
        var copies: [[UInt8]] = []
        for (index, (number, content)) in blocks.enumerated() {
            var data = content
            var flags: UInt32 = index == 0 ? 0 : 2
            if content.starts(with: [0xC0, 0x3B, 0x39, 0x98]) {
                data.put(0, at: 0)
                flags |= 1
            }
            if index == blocks.count - 1 { flags |= 8 }
            let crc = crc32c(crc32c(seed, bigEndian(sequence)), data)
            descriptor.put(UInt32(number), at: offset)
            if checksums == 3 {
                descriptor.put(flags, at: offset + 4)
                descriptor.put(crc, at: offset + 12)
            } else {
                descriptor.put(flags | (checksums == 2 ? crc << 16 : 0), at: offset + 4)
            }
            offset += [is64Bit ? 12 : 8, is64Bit ? 12 : 8, is64Bit ? 14 : 10, 16][checksums]
            if index == 0 { offset += 16 }
            copies.append(data)
        }
        seal(&descriptor)
        lastDescriptor = write(descriptor)
        lastData = copies.map { write($0) }
        sum = crc32BE(sum, descriptor)
        for copy in copies { sum = crc32BE(sum, copy) }
    }

    private mutating func writeRevoke(_ revoked: [Int]) {
        var block = header(5)
        let size = is64Bit ? 8 : 4
        block.put(UInt32(16 + revoked.count * size), at: 12)
        for (index, number) in revoked.enumerated() {
            block.put(UInt32(number), at: 16 + index * size + size - 4)
        }
        seal(&block)
        lastRevoke = write(block)
    }

    private mutating func writeCommit(_ sum: UInt32) {
        var block = header(2)
        block.put(UInt32(time >> 32), at: 48)
        block.put(UInt32(truncatingIfNeeded: time), at: 52)
        if checksums == 1 {
            block[12] = 1
            block[13] = 4
            block.put(sum, at: 16)
        } else if checksums >= 2 {
            block.put(crc32c(seed, block), at: 16)
        }
        lastCommit = write(block)
    }

    /// Recomputes the checksum at the end of the block `number` of the image.
    mutating func reseal(_ number: Int) {
        let size = image.blockSize
        var block = Array(image.bytes[(number * size)..<((number + 1) * size)])
        block.put(0, at: size - 4)
        seal(&block)
        put(block, number)
    }

    private func header(_ type: UInt32) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: image.blockSize)
        block.put(0xC03B_3998, at: 0)
        block.put(type, at: 4)
        block.put(sequence, at: 8)
        return block
    }

    private var seed: UInt32 { crc32c(~0, uuid) }

    private func seal(_ block: inout [UInt8]) {
        guard checksums >= 2 else { return }
        block.put(crc32c(seed, block), at: block.count - 4)
    }

    /// Writes the next block of the log and gives its number in the image.
    @discardableResult private mutating func write(_ block: [UInt8]) -> Int {
        let number = image.journalBlocks[position]
        put(block, number)
        position = position + 1 == end ? 1 : position + 1
        return number
    }

    private func put(_ bytes: [UInt8], _ block: Int) {
        let start = block * image.blockSize
        image.bytes.replaceSubrange(start..<(start + bytes.count), with: bytes)
    }
}

extension [UInt8] {
    mutating func put(_ value: UInt32, at offset: Int) {
        replaceSubrange(offset..<(offset + 4), with: bigEndian(value))
    }
}

private func bigEndian(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
}

private func crc32c(_ seed: UInt32, _ bytes: [UInt8]) -> UInt32 {
    var crc = CRC32C(seed: seed)
    crc.add(bytes)
    return crc.value
}

private func crc32BE(_ seed: UInt32, _ bytes: [UInt8]) -> UInt32 {
    bytes.reduce(seed) { crc, byte in
        (0..<8).reduce(crc ^ UInt32(byte) << 24) { crc, _ in
            crc << 1 ^ (crc >> 31 == 1 ? 0x04C1_1DB7 : 0)
        }
    }
}
