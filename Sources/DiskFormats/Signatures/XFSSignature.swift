/// XFS, by the superblock of its first allocation group.
///
/// Layout: XFS Algorithms & Data Structures, 3rd edition, "Superblocks". Big-endian.
enum XFSSignature: SignatureFamily {
    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature? {
        guard volume.matches("XFSB", at: 0) else { return nil }
        let superblock = try volume.bytes(at: 0, count: 512)
        let span = superblock.span
        let raw = span.raw
        guard try hasSaneGeometry(raw), try hasValidChecksum(raw, volume) else { return nil }
        let blockSize = UInt64(try raw.be(UInt32.self, at: 4))
        let blocks = try raw.be(UInt64.self, at: 8)
        // A log inside the volume counts as overhead, not as size.
        let hasInternalLog = try raw.be(UInt64.self, at: 48) != 0
        let logBlocks = hasInternalLog ? UInt64(try raw.be(UInt32.self, at: 96)) : 0
        let size = blocks.subtractingReportingOverflow(logBlocks)
        let bytes = size.partialValue.multipliedReportingOverflow(by: blockSize)
        return VolumeSignature(
            type: "xfs",
            usage: .filesystem,
            label: IdentifierText.label(try raw.array(at: 108, count: 12)),
            uuid: IdentifierText.uuid(try raw.array(at: 32, count: 16)),
            byteCount: size.overflow || bytes.overflow ? nil : bytes.partialValue
        )
    }

    private static func hasSaneGeometry(_ raw: RawSpan) throws(DiskError) -> Bool {
        func isPower(_ size: UInt32, log: UInt8, _ range: ClosedRange<UInt8>) -> Bool {
            range.contains(log) && size == UInt32(1) << UInt32(log)
        }
        let blockSize = try raw.be(UInt32.self, at: 4)
        let blockLog = try raw.u8(at: 120)
        let sectorSize = UInt32(try raw.be(UInt16.self, at: 102))
        let inodeSize = UInt32(try raw.be(UInt16.self, at: 104))
        let inodeLog = try raw.u8(at: 122)
        guard isPower(blockSize, log: blockLog, 9...16),
            isPower(sectorSize, log: try raw.u8(at: 121), 9...15),
            isPower(inodeSize, log: inodeLog, 8...11), blockLog >= inodeLog,
            blockLog - inodeLog == (try raw.u8(at: 123))
        else { return false }
        let realtimeExtent = UInt64(try raw.be(UInt32.self, at: 80)) * UInt64(blockSize)
        guard (4096...(1 << 30)).contains(realtimeExtent), try raw.u8(at: 127) <= 100 else {
            return false
        }
        let groupBlocks = UInt64(try raw.be(UInt32.self, at: 84))
        let groups = UInt64(try raw.be(UInt32.self, at: 88))
        guard groups > 0 else { return false }
        let blocks = try raw.be(UInt64.self, at: 8)
        // The last group may be shorter than the others, but has at least 64 blocks.
        return blocks <= groups * groupBlocks && blocks >= (groups - 1) * groupBlocks + 64
    }

    private static func hasValidChecksum(
        _ raw: RawSpan,
        _ volume: VolumeReader
    ) throws(DiskError) -> Bool {
        let version = try raw.be(UInt16.self, at: 100)
        guard version & 0xF == 5 else { return (1...4).contains(version & 0xF) }
        guard version & 0x8000 != 0, try raw.be(UInt32.self, at: 200) & 0x100 != 0 else {
            return false
        }
        let sector = try volume.bytes(at: 0, count: Int(try raw.be(UInt16.self, at: 102)))
        let span = sector.span
        var checksum = CRC32C()
        checksum.add(try span.raw.slice(at: 0, count: 224))
        checksum.add(UInt32(0))
        checksum.add(try span.raw.slice(at: 228, count: sector.count - 228))
        return try raw.u32(at: 224) == ~checksum.value
    }
}
