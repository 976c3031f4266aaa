extension Ext4Superblock {
    /// The numbers from which every place on the volume is computed.
    ///
    /// The limits are those that Linux checks when it mounts (`fs/ext4/super.c`).
    struct Geometry {
        let blockShift: UInt64
        let blocksCount: UInt64
        let firstDataBlock: UInt64
        let blocksPerGroup: UInt64
        let blocksPerCluster: UInt64
        let groupCount: UInt64
        let inodesPerGroup: UInt64
        let inodesCount: UInt64
        let inodeSize: Int
        let descriptorSize: Int

        init(_ raw: RawSpan, _ features: Ext4Features) throws(DiskError) {
            let logBlockSize = try raw.u32(at: 0x18)
            guard logBlockSize <= 6 else {
                throw DiskError(
                    .outOfRange,
                    "",
                    at: 0x18,
                    "block size 1024 << \(logBlockSize), at most << 6"
                )
            }
            let shift = UInt64(logBlockSize) + 10
            let blockSize = UInt64(1) << shift
            blockShift = shift
            (firstDataBlock, blocksCount) = try Self.blocks(raw, features, shift)
            (blocksPerGroup, blocksPerCluster) = try Self.group(raw, features, shift)
            let groups = (blocksCount - firstDataBlock + blocksPerGroup - 1) / blocksPerGroup
            groupCount = groups

            inodeSize = try Self.inodeSize(raw, blockSize)
            inodesPerGroup = UInt64(try raw.u32(at: 0x28))
            let perBlock = blockSize / UInt64(inodeSize)
            guard inodesPerGroup >= perBlock, inodesPerGroup <= 8 * blockSize else {
                throw DiskError(
                    .outOfRange,
                    "",
                    at: 0x28,
                    "\(inodesPerGroup) inodes per group, not \(perBlock) to \(8 * blockSize)"
                )
            }
            inodesCount = UInt64(try raw.u32(at: 0))
            let expected = groups.multipliedReportingOverflow(by: inodesPerGroup)
            guard !expected.overflow, inodesCount == expected.partialValue else {
                throw DiskError(
                    .inconsistent,
                    "",
                    at: 0,
                    "\(inodesCount) inodes, but \(groups) groups of \(inodesPerGroup)"
                )
            }
            descriptorSize = try Self.descriptorSize(raw, features, blockSize)
        }

        private static func blocks(
            _ raw: RawSpan,
            _ features: Ext4Features,
            _ shift: UInt64
        ) throws(DiskError) -> (first: UInt64, count: UInt64) {
            let first = UInt64(try raw.u32(at: 0x14))
            guard first <= 1 else {
                throw DiskError(.outOfRange, "", at: 0x14, "first data block \(first), not 0 or 1")
            }
            let count = try pair(raw, 0x04, features.has(.wide) ? 0x150 : nil)
            // The size in bytes has to be a valid file offset.
            guard count > first, count <= UInt64(Int64.max) >> shift else {
                throw DiskError(.outOfRange, "", at: 0x04, "\(count) blocks of \(1 << shift) bytes")
            }
            return (first, count)
        }

        private static func group(
            _ raw: RawSpan,
            _ features: Ext4Features,
            _ shift: UInt64
        ) throws(DiskError) -> (blocks: UInt64, ratio: UInt64) {
            let blocks = UInt64(try raw.u32(at: 0x20))
            let bitmapBits = UInt64(8) << shift
            guard features.hasClusters else {
                guard blocks > 0, blocks <= bitmapBits else {
                    throw DiskError(
                        .outOfRange,
                        "",
                        at: 0x20,
                        "\(blocks) blocks per group, not 1 to \(bitmapBits)"
                    )
                }
                return (blocks, 1)
            }
            let log = UInt64(try raw.u32(at: 0x1C))
            let clusters = UInt64(try raw.u32(at: 0x24))
            guard log + 10 >= shift, log <= 20 else {
                throw DiskError(.outOfRange, "", at: 0x1C, "cluster size 1024 << \(log)")
            }
            let ratio = UInt64(1) << (log + 10 - shift)
            guard clusters > 0, clusters <= bitmapBits, blocks == clusters * ratio else {
                throw DiskError(
                    .inconsistent,
                    "",
                    at: 0x24,
                    "\(clusters) clusters of \(ratio) blocks in groups of \(blocks) blocks"
                )
            }
            return (blocks, ratio)
        }

        private static func inodeSize(
            _ raw: RawSpan,
            _ blockSize: UInt64
        ) throws(DiskError) -> Int {
            // Revision 0 has no such field: its inodes are 128 bytes.
            let size = try raw.u32(at: 0x4C) == 0 ? 128 : raw.u16(at: 0x58)
            guard size >= 128, size.nonzeroBitCount == 1, UInt64(size) <= blockSize else {
                throw DiskError(.outOfRange, "", at: 0x58, "inode size \(size)")
            }
            return Int(size)
        }

        private static func descriptorSize(
            _ raw: RawSpan,
            _ features: Ext4Features,
            _ blockSize: UInt64
        ) throws(DiskError) -> Int {
            guard features.has(.wide) else { return 32 }
            let size = try raw.u16(at: 0xFE)
            guard size >= 64, size.nonzeroBitCount == 1, UInt64(size) <= blockSize else {
                throw DiskError(.outOfRange, "", at: 0xFE, "group descriptor size \(size)")
            }
            return Int(size)
        }
    }
}
