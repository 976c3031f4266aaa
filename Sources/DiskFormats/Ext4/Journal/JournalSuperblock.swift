/// The superblock of a jbd2 journal, with every field that recovery uses checked.
///
/// A value of this type proves that the log lies inside the journal file, that the journal uses no
/// feature unknown here, and that the superblock's own checksum was right where it has one.
///
/// Layout: Linux `Documentation/filesystems/ext4/journal.rst`; all integers are big-endian.
struct JournalSuperblock: Sendable {
    /// Which of the mutually exclusive checksum formats the log uses.
    enum Checksums: Sendable {
        case none
        /// Version 1: the commit block holds a CRC-32 of descriptors and data.
        case transaction
        /// Version 2: CRC-32C in each log block, its lower 16 bits in each tag.
        case version2
        /// Version 3: as 2, with all 32 bits in each tag.
        case version3

        /// Whether descriptor, revoke and commit blocks hold a checksum of themselves.
        var inEachBlock: Bool { self == .version2 || self == .version3 }
    }

    /// Bytes in a block, of the journal and of its file system alike.
    let blockSize: Int
    /// How many blocks the journal has, log and fast-commit area together.
    let length: UInt32
    /// The first block of the log, to which it wraps.
    let first: UInt32
    /// The block after the last of the log; from it to ``length`` is the fast-commit area.
    let end: UInt32
    /// Where the oldest transaction begins, or zero where there is nothing to replay.
    let start: UInt32
    /// The number of the oldest transaction.
    let sequence: UInt32
    /// The error with which the guest's kernel gave the journal up, or zero.
    let errorNumber: Int32
    let checksums: Checksums
    let has64BitNumbers: Bool
    let commitsAsynchronously: Bool
    let hasFastCommits: Bool
    /// CRC-32C of the journal's UUID, with which every checksum of versions 2 and 3 begins.
    let checksumSeed: UInt32

    static let magic: UInt32 = 0xC03B_3998
    static let byteCount = 1024

    /// Reads block 0 of `journal`, whose file system has blocks of `fileSystemBlockSize` bytes.
    init(_ journal: any BlockSource, fileSystemBlockSize: Int) throws(DiskError) {
        do {
            let bytes = try journal.bytes(at: 0, count: Self.byteCount)
            let span = bytes.span
            let fields = try Fields(span.raw)
            try self.init(fields, span.raw, fileSystemBlockSize, journal.byteCount)
        } catch {
            throw error.within("jbd2 superblock", at: 0)
        }
    }

    private init(
        _ fields: Fields,
        _ raw: RawSpan,
        _ fileSystemBlockSize: Int,
        _ journalByteCount: UInt64
    ) throws(DiskError) {
        try fields.checkFeatures()
        let size = try raw.be(UInt32.self, at: 0x0C)
        guard fileSystemBlockSize >= 1024, size == UInt32(clamping: fileSystemBlockSize) else {
            throw DiskError(
                .inconsistent,
                "",
                at: 0x0C,
                "blocks of \(size) bytes in a file system with blocks of \(fileSystemBlockSize)"
            )
        }
        blockSize = fileSystemBlockSize
        length = try raw.be(UInt32.self, at: 0x10)
        guard UInt64(length) <= journalByteCount / UInt64(size) else {
            throw DiskError(
                .truncated,
                "",
                at: 0x10,
                "\(length) blocks of \(size) bytes in a journal file of \(journalByteCount) bytes"
            )
        }
        first = try raw.be(UInt32.self, at: 0x14)
        checksums = fields.checksums
        has64BitNumbers = fields.has(.has64BitNumbers)
        commitsAsynchronously = fields.has(.asynchronousCommit)
        hasFastCommits = fields.has(.fastCommit)
        end = length - (hasFastCommits ? try fields.fastCommitBlocks(of: length, raw) : 0)
        guard first >= 1, first < end else {
            throw DiskError(.outOfRange, "", at: 0x14, "log begins at block \(first) of \(end)")
        }
        sequence = try raw.be(UInt32.self, at: 0x18)
        start = try raw.be(UInt32.self, at: 0x1C)
        guard start == 0 || (start >= first && start < end) else {
            throw DiskError(
                .outOfRange,
                "",
                at: 0x1C,
                "oldest transaction at block \(start), log in blocks \(first)..<\(end)"
            )
        }
        errorNumber = Int32(bitPattern: try raw.be(UInt32.self, at: 0x20))
        var seed = CRC32C()
        try seed.add(raw.slice(at: 0x30, count: 16))
        checksumSeed = seed.value
        try fields.verifyChecksum(raw)
    }
}

/// The parts of the superblock that say how to read the rest.
private struct Fields {
    enum Feature: UInt32 {
        case revoke = 0x01
        case has64BitNumbers = 0x02
        case asynchronousCommit = 0x04
        case checksum2 = 0x08
        case checksum3 = 0x10
        case fastCommit = 0x20
    }

    let compatible: UInt32
    let incompatible: UInt32
    let readOnlyCompatible: UInt32

    init(_ raw: RawSpan) throws(DiskError) {
        guard try raw.be(UInt32.self, at: 0) == JournalSuperblock.magic else {
            throw DiskError(.badMagic, "", at: 0, "no jbd2 magic number c03b3998")
        }
        let type = try raw.be(UInt32.self, at: 4)
        guard type == 3 || type == 4 else {
            throw DiskError(.unsupported, "", at: 4, "block type \(type), expected 3 or 4")
        }
        // Version 1 (type 3) ends before the feature words; what stands there means nothing.
        let hasFeatures = type == 4
        compatible = hasFeatures ? try raw.be(UInt32.self, at: 0x24) : 0
        incompatible = hasFeatures ? try raw.be(UInt32.self, at: 0x28) : 0
        readOnlyCompatible = hasFeatures ? try raw.be(UInt32.self, at: 0x2C) : 0
    }

    func has(_ feature: Feature) -> Bool { incompatible & feature.rawValue != 0 }

    var checksums: JournalSuperblock.Checksums {
        if has(.checksum3) { return .version3 }
        if has(.checksum2) { return .version2 }
        return compatible & 1 != 0 ? .transaction : .none
    }

    func checkFeatures() throws(DiskError) {
        let unknown = incompatible & ~0x3F
        guard unknown == 0, readOnlyCompatible == 0 else {
            throw DiskError(
                .unsupported,
                "",
                at: unknown != 0 ? 0x28 : 0x2C,
                unknown != 0
                    ? "unknown incompatible journal features 0x\(String(unknown, radix: 16))"
                    : "unknown read-only journal features "
                        + "0x\(String(readOnlyCompatible, radix: 16))"
            )
        }
        let versions = [compatible & 1 != 0, has(.checksum2), has(.checksum3)].count { $0 }
        guard versions <= 1 else {
            throw DiskError(.inconsistent, "", at: 0x24, "\(versions) checksum formats at once")
        }
    }

    func verifyChecksum(_ raw: RawSpan) throws(DiskError) {
        guard checksums.inEachBlock else { return }
        let type = try raw.u8(at: 0x50)
        guard type == 4 else {
            throw DiskError(.unsupported, "", at: 0x50, "checksum type \(type), expected 4, crc32c")
        }
        let stored = try raw.be(UInt32.self, at: 0xFC)
        let computed = try raw.crc32c(seed: ~0, skipping: 0xFC)
        guard stored == computed else {
            throw DiskError(
                .badChecksum,
                "",
                at: 0xFC,
                "0x\(String(stored, radix: 16)) stored, 0x\(String(computed, radix: 16)) computed"
            )
        }
    }

    /// The size of the fast-commit area in blocks; 256 where the field is zero.
    func fastCommitBlocks(of length: UInt32, _ raw: RawSpan) throws(DiskError) -> UInt32 {
        let field = try raw.be(UInt32.self, at: 0x54)
        let count = field == 0 ? 256 : field
        // The kernel and e2fsck keep at least 1024 blocks for the log proper.
        guard count <= length, length - count >= 1024 else {
            throw DiskError(
                .outOfRange,
                "",
                at: 0x54,
                "\(count) fast-commit blocks in a journal of \(length)"
            )
        }
        return count
    }
}
