/// btrfs, by its first superblock.
///
/// Layout: btrfs documentation, "On-disk Format", Superblock.
enum BtrfsSignature: SignatureFamily {
    private static let superblockOffset: UInt64 = 0x10000
    private static let minimumByteCount: UInt64 = 1 << 20
    private static let checksumTypeCRC32C: UInt16 = 0

    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature? {
        guard volume.byteCount >= minimumByteCount, volume.matches("_BHRfS_M", at: 0x10040) else {
            return nil
        }
        let superblock = try volume.bytes(at: superblockOffset, count: 4096)
        let span = superblock.span
        let raw = span.raw
        // The other checksums (xxhash, SHA-256, BLAKE2) are left to a reader of the format.
        if try raw.u16(at: 0xC4) == checksumTypeCRC32C {
            var checksum = CRC32C()
            checksum.add(try raw.slice(at: 0x20, count: 4096 - 0x20))
            guard try raw.u32(at: 0) == ~checksum.value else { return nil }
        }
        guard try raw.u64(at: 0x30) == superblockOffset, try raw.u32(at: 0x90) != 0 else {
            return nil
        }
        return VolumeSignature(
            type: "btrfs",
            usage: .filesystem,
            label: IdentifierText.label(try raw.array(at: 0x12B, count: 256)),
            uuid: IdentifierText.uuid(try raw.array(at: 0x20, count: 16)),
            byteCount: try raw.u64(at: 0x70)
        )
    }
}
