/// SquashFS 4.
///
/// Layout: Linux `fs/squashfs/squashfs_fs.h`, `struct squashfs_super_block`.
enum SquashfsSignature: SignatureFamily {
    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature? {
        guard volume.matches("hsqs", at: 0) else { return nil }
        let superblock = try volume.bytes(at: 0, count: 96)
        let span = superblock.span
        let raw = span.raw
        let major = try raw.u16(at: 28)
        guard major >= 4 else { return nil }
        return VolumeSignature(
            type: "squashfs",
            usage: .filesystem,
            byteCount: try raw.u64(at: 40),
            version: "\(major).\(try raw.u16(at: 30))"
        )
    }
}
