extension Ext4Superblock {
    /// The superblock to work with, and what had to be said about it.
    struct Found {
        let superblock: Ext4Superblock
        /// Byte offset of the copy that was taken.
        let offset: UInt64
        let problems: [DiskError]
        var isBackup: Bool { offset != primaryOffset }
    }

    /// The primary superblock, or where that is lost or damaged, the first valid backup.
    ///
    /// Backups are looked for where mke2fs puts them for every block size, then at every place in
    /// the first 64 MiB, which finds unusually small groups. A backup must name its own place.
    static func find(on volume: any BlockSource) throws(DiskError) -> Found {
        let primary: DiskError
        var damaged: Ext4Superblock?
        do throws(DiskError) {
            let superblock = try read(on: volume, at: primaryOffset)
            if superblock.checksumMatches {
                return Found(superblock: superblock, offset: primaryOffset, problems: [])
            }
            damaged = superblock.features.unknownNames.isEmpty ? superblock : nil
            primary = DiskError(
                .badChecksum,
                "ext4 superblock",
                at: primaryOffset + 0x3FC,
                "its checksum does not match"
            )
        } catch {
            guard error.reason != .unsupported else { throw error }
            primary = error
        }
        if let (backup, offset) = backup(on: volume) {
            let taken = DiskError(
                primary.reason,
                "ext4 superblock",
                at: primary.offset,
                "\(primary.detail); the backup at byte \(offset) was used instead, and its counts "
                    + "of free space may be old"
            )
            return Found(superblock: backup, offset: offset, problems: [taken])
        }
        guard let damaged else { throw primary }
        let kept = DiskError(
            .badChecksum,
            "ext4 superblock",
            at: primary.offset,
            "\(primary.detail) and no backup was found; it was used as it stands"
        )
        return Found(superblock: damaged, offset: primaryOffset, problems: [kept])
    }

    /// Parses the copy at byte `offset`.
    static func read(
        on volume: any BlockSource,
        at offset: UInt64
    ) throws(DiskError) -> Ext4Superblock {
        let bytes = try volume.bytes(at: offset, count: byteCount)
        let span = bytes.span
        do throws(DiskError) {
            return try Ext4Superblock(span.raw)
        } catch {
            throw error.within("ext4 superblock", at: offset)
        }
    }

    private static func backup(on volume: any BlockSource) -> (Ext4Superblock, UInt64)? {
        for shift in UInt64(10)...16 {
            let first: UInt64 = shift == 10 ? 1 : 0
            // Groups are 8 × block size blocks; with bigalloc that is multiplied by the ratio.
            for ratio in UInt64(0)...6 {
                for group in [1, 3, 5, 7, 9, 25, 27, 49] as [UInt64] {
                    let blocks = group << (shift + 3 + ratio)
                    for start in first == 0 ? [0] : [first, 0] as [UInt64] {
                        let offset = (start + blocks) << shift
                        if let found = candidate(on: volume, at: offset) { return (found, offset) }
                    }
                }
            }
        }
        return scan(on: volume)
    }

    private static func scan(on volume: any BlockSource) -> (Ext4Superblock, UInt64)? {
        let chunk: UInt64 = 1 << 20
        let end = min(volume.byteCount, 64 << 20)
        var start: UInt64 = 0
        while start < end {
            let count = Int(min(chunk, end - start))
            if let bytes = try? volume.bytes(at: start, count: count) {
                for place in stride(from: 0, to: count - 0x39, by: 1024)
                where bytes[place + 0x38] == 0x53 && bytes[place + 0x39] == 0xEF {
                    let offset = start + UInt64(place)
                    if let found = candidate(on: volume, at: offset) { return (found, offset) }
                }
            }
            start += chunk
        }
        return nil
    }

    /// A backup at `offset` that is whole and belongs there; not a copy inside some file.
    private static func candidate(
        on volume: any BlockSource,
        at offset: UInt64
    ) -> Ext4Superblock? {
        guard offset < volume.byteCount, let found = try? read(on: volume, at: offset),
            found.group > 0, found.group < found.groupCount, found.checksumMatches,
            found.firstBlock(of: found.group) << found.blockShift == offset
        else { return nil }
        return found
    }
}
