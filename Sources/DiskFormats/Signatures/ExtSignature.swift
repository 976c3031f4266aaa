/// ext2, ext3, ext4, and their journal on a device of its own.
///
/// Layout: Linux `Documentation/filesystems/ext4/super.rst`. Which of the names applies follows
/// from the features, as in libblkid: ext3 is what has a journal, ext4 what ext3 cannot mount.
enum ExtSignature: SignatureFamily {
    private static let superblockOffset: UInt64 = 1024
    private static let magic: UInt16 = 0xEF53

    private static let hasJournal: UInt32 = 0x4
    private static let journalDevice: UInt32 = 0x8
    private static let testFileSystem: UInt32 = 0x4
    private static let sixtyFourBit: UInt32 = 0x80
    private static let metadataChecksum: UInt32 = 0x400
    /// sparse_super, large_file, btree_dir.
    private static let compatibleReadOnly: UInt32 = 0x7
    /// filetype, recover, meta_bg.
    private static let compatibleWithExt3: UInt32 = 0x16
    /// filetype, meta_bg.
    private static let compatibleWithExt2: UInt32 = 0x12

    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature? {
        let superblock = try volume.bytes(at: superblockOffset, count: 1024)
        let span = superblock.span
        let raw = span.raw
        guard try raw.u16(at: 0x38) == magic else { return nil }
        let logBlockSize = try raw.u32(at: 0x18)
        guard logBlockSize < 32 else { return nil }
        let incompatible = try raw.u32(at: 0x60)
        if try raw.u32(at: 0x64) & metadataChecksum != 0 {
            var checksum = CRC32C()
            checksum.add(try raw.slice(at: 0, count: 0x3FC))
            guard try raw.u32(at: 0x3FC) == checksum.value else { return nil }
        }
        guard let type = try type(raw) else { return nil }
        var blocks = UInt64(try raw.u32(at: 0x04))
        if incompatible & sixtyFourBit != 0 { blocks |= UInt64(try raw.u32(at: 0x150)) << 32 }
        let size = blocks.multipliedReportingOverflow(by: 1024 << UInt64(logBlockSize))
        return VolumeSignature(
            type: type,
            usage: type == "jbd" ? .other : .filesystem,
            label: IdentifierText.label(try raw.array(at: 0x78, count: 16)),
            uuid: IdentifierText.uuid(try raw.array(at: 0x68, count: 16)),
            byteCount: size.overflow ? nil : size.partialValue,
            version: "\(try raw.u32(at: 0x4C)).\(try raw.u16(at: 0x3E))"
        )
    }

    private static func type(_ raw: RawSpan) throws(DiskError) -> String? {
        let compatible = try raw.u32(at: 0x5C)
        let incompatible = try raw.u32(at: 0x60)
        let readOnly = try raw.u32(at: 0x64)
        if incompatible & journalDevice != 0 { return "jbd" }
        if try raw.u32(at: 0x160) & testFileSystem != 0 { return "ext4dev" }
        if readOnly & ~compatibleReadOnly != 0 || incompatible & ~compatibleWithExt3 != 0 {
            return "ext4"
        }
        if compatible & hasJournal != 0 { return "ext3" }
        // The recover flag without a journal belongs to none of them.
        return incompatible & ~compatibleWithExt2 == 0 ? "ext2" : nil
    }
}
