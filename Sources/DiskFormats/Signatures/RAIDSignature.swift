/// A member of a Linux software array (md), metadata 0.90, 1.0, 1.1 and 1.2.
///
/// Layout: Linux `include/uapi/linux/raid/md_p.h`; places: md(4).
enum RAIDSignature: SignatureFamily {
    private static let magic: UInt32 = 0xA92B_4EFC
    private static let reserved: UInt64 = 0x10000
    /// What fits into the 4 KiB of a superblock after its first 256 bytes, two bytes a device.
    private static let maximumDevices: UInt32 = 1920

    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature? {
        let size = volume.byteCount
        var places: [(version: String, offset: UInt64)] = []
        if size > 2 * reserved {
            if let old = try probeOld(volume, at: size / reserved * reserved - reserved) {
                return old
            }
            places.append(("1.0", size / 0x1000 * 0x1000 - 0x2000))
        }
        places += [("1.1", 0), ("1.2", 0x1000)]
        for (version, offset) in places {
            if let found = try probeNew(volume, at: offset, version: version) { return found }
        }
        return nil
    }

    /// Metadata 0.90, in the byte order of the machine that made it.
    private static func probeOld(
        _ volume: VolumeReader,
        at offset: UInt64
    ) throws(DiskError) -> VolumeSignature? {
        let superblock = try volume.bytes(at: offset, count: 64)
        let span = superblock.span
        let raw = span.raw
        let isLittleEndian = try raw.u32(at: 0) == magic
        let isBigEndian = try raw.be(UInt32.self, at: 0) == magic
        guard isLittleEndian || isBigEndian else { return nil }
        func word(_ offset: Int) throws(DiskError) -> UInt32 {
            isLittleEndian ? try raw.u32(at: offset) : try raw.be(UInt32.self, at: offset)
        }
        let size = UInt64(try word(32)) * 1024
        guard offset >= size else { return nil }
        var uuid: [UInt8] = []
        for field in [20, 52, 56, 60] {
            // Versions before 0.90 knew only the first word.
            let hasAll = try word(8) >= 90
            let part = field == 20 || hasAll ? try word(field) : 0
            uuid += (0..<4).map { UInt8(truncatingIfNeeded: part >> (24 - 8 * UInt32($0))) }
        }
        return VolumeSignature(
            type: "linux_raid_member",
            usage: .raid,
            uuid: IdentifierText.uuid(uuid),
            version: "\(try word(4)).\(try word(8)).\(try word(12))"
        )
    }

    private static func probeNew(
        _ volume: VolumeReader,
        at offset: UInt64,
        version: String
    ) throws(DiskError) -> VolumeSignature? {
        guard volume.byteCount >= offset + 256 else { return nil }
        let superblock = try volume.bytes(at: offset, count: 256)
        let span = superblock.span
        let raw = span.raw
        guard try raw.u32(at: 0) == magic, try raw.u32(at: 4) == 1,
            try raw.u64(at: 144) == offset / 512, try hasValidChecksum(raw, volume, offset)
        else { return nil }
        return VolumeSignature(
            type: "linux_raid_member",
            usage: .raid,
            label: IdentifierText.label(try raw.array(at: 32, count: 32)),
            uuid: IdentifierText.uuid(try raw.array(at: 16, count: 16)),
            version: version
        )
    }

    /// The sum of all words, carried over once, with the field of the sum itself as zero.
    private static func hasValidChecksum(
        _ raw: RawSpan,
        _ volume: VolumeReader,
        _ offset: UInt64
    ) throws(DiskError) -> Bool {
        let devices = try raw.u32(at: 220)
        guard devices <= maximumDevices else { return false }
        let bytes = try volume.bytes(at: offset, count: 256 + 2 * Int(devices))
        let span = bytes.span
        var sum: UInt64 = 0
        for index in stride(from: 0, through: bytes.count - 4, by: 4) where index != 216 {
            sum += UInt64(try span.raw.u32(at: index))
        }
        if bytes.count % 4 == 2 { sum += UInt64(try span.raw.u16(at: bytes.count - 2)) }
        return try raw.u32(at: 216) == UInt32(truncatingIfNeeded: (sum & 0xFFFF_FFFF) + sum >> 32)
    }
}
