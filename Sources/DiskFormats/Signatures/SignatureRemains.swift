/// What is left of a file system whose superblock is lost or damaged.
///
/// Magic numbers alone, of the superblock, its copies and what stands beside it: enough to choose a
/// checker for a volume on which ``VolumeSignature`` finds nothing, not to read by. ext2, ext3 and
/// ext4 are not among them, since their reader finds the copies of their superblock itself.
package enum SignatureRemains {
    /// The types that left something, in the words of blkid.
    package static func types(on volume: any BlockSource) -> [String] {
        let reader = VolumeReader(volume)
        var types: [String] = []
        if hasXFS(reader) { types.append("xfs") }
        if hasBtrfs(reader) { types.append("btrfs") }
        if hasExFAT(reader) { types.append("exfat") }
        if hasFAT32(reader) { types.append("vfat") }
        if reader.matches("NTFS    ", at: 3) { types.append("ntfs") }
        return types
    }

    /// The superblock, or the headers of free space and of inodes in the two sectors after it.
    ///
    /// XFS Algorithms & Data Structures, 3rd edition, "Allocation Groups".
    private static func hasXFS(_ volume: VolumeReader) -> Bool {
        volume.matches("XFSB", at: 0)
            || (9...15).contains { shift in
                volume.matches("XAGF", at: 1 << shift) && volume.matches("XAGI", at: 2 << shift)
            }
    }

    /// The superblock or its first copy.
    ///
    /// btrfs documentation, "On-disk Format", Superblock; each says where it stands.
    private static func hasBtrfs(_ volume: VolumeReader) -> Bool {
        if volume.matches("_BHRfS_M", at: 0x1_0040) { return true }
        let place: UInt64 = 64 << 20
        guard let bytes = try? volume.bytes(at: place, count: 0x48) else { return false }
        let span = bytes.span
        return span.raw.matches("_BHRfS_M", at: 0x40) && (try? span.raw.u64(at: 0x30)) == place
    }

    /// The boot sector, or its copy twelve sectors after it.
    ///
    /// "exFAT file system specification", 2.
    private static func hasExFAT(_ volume: VolumeReader) -> Bool {
        ([0] + (9...12).map { 12 << $0 }).contains { volume.matches("EXFAT   ", at: $0 + 3) }
    }

    /// The boot sector, or its copy, which mkfs tools put into the sector 6.
    ///
    /// Microsoft FAT Specification, 3.3; BS_FilSysType.
    private static func hasFAT32(_ volume: VolumeReader) -> Bool {
        [0, 6 << 9].contains { volume.matches("FAT32   ", at: $0 + 82) }
    }
}
