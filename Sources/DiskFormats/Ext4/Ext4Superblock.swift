/// The superblock of an ext2, ext3 or ext4 file system, with every field checked that is used.
///
/// A value exists only where all checks of ``init(_:)`` passed, so no later code tests these fields
/// again; nor does one exist that uses features which this reader does not know. The checksum is a matter of ``checksumMatches``, because a damaged superblock may be the
/// only one left. Layout: Linux `Documentation/filesystems/ext4/super.rst`.
package struct Ext4Superblock: Equatable, Sendable {
    package static let byteCount = 1024
    package static let primaryOffset: UInt64 = 1024

    package let features: Ext4Features
    /// 1,024 to 65,536 bytes; `1 << blockShift`.
    package let blockSize: Int
    package let blockShift: UInt64
    package let blocksCount: UInt64
    package let firstDataBlock: UInt64
    package let blocksPerGroup: UInt64
    /// Blocks in an allocation cluster: 1 without bigalloc.
    package let blocksPerCluster: UInt64
    package let groupCount: UInt64
    package let inodesCount: UInt64
    package let inodesPerGroup: UInt64
    package let inodeSize: Int
    package let descriptorSize: Int
    package let firstMetaBlockGroup: UInt64
    package let reservedDescriptorBlocks: UInt64
    /// The group that this copy says it stands in; 0 for the primary.
    package let group: UInt64
    /// The two groups with backups under sparse_super2.
    package let backupGroups: [UInt64]

    package let uuid: [UInt8]
    package let label: [UInt8]
    package let freeBlocks: UInt64
    package let freeInodes: UInt64
    package let reservedBlocks: UInt64
    package let overheadBlocks: UInt64

    package let journalInode: UInt64
    package let journalDeviceIsNamed: Bool
    package let hashSeed: [UInt32]
    package let hashIsUnsigned: Bool
    /// Seed of all metadata checksums: of the UUID, or as recorded under metadata_csum_seed.
    package let checksumSeed: UInt32
    /// True where there is no checksum, or where it is right.
    package let checksumMatches: Bool

    package init(_ raw: RawSpan) throws(DiskError) {
        guard try raw.u16(at: 0x38) == 0xEF53 else {
            throw DiskError(.badMagic, "", at: 0x38, "the magic number 0xEF53 is missing")
        }
        let features = try Ext4Features(
            compatible: raw.u32(at: 0x5C),
            incompatible: raw.u32(at: 0x60),
            readOnlyCompatible: raw.u32(at: 0x64)
        )
        let uuid = try raw.array(at: 0x68, count: 16)
        (checksumSeed, checksumMatches) = try Self.checksum(raw, features, uuid)
        // Before the geometry, which an unknown feature may lay out in another way.
        if checksumMatches { try features.refuseUnknown() }
        let geometry = try Geometry(raw, features)
        self.uuid = uuid
        self.features = features
        blockSize = 1 << Int(geometry.blockShift)
        blockShift = geometry.blockShift
        blocksCount = geometry.blocksCount
        firstDataBlock = geometry.firstDataBlock
        blocksPerGroup = geometry.blocksPerGroup
        blocksPerCluster = geometry.blocksPerCluster
        groupCount = geometry.groupCount
        inodesPerGroup = geometry.inodesPerGroup
        inodesCount = geometry.inodesCount
        inodeSize = geometry.inodeSize
        descriptorSize = geometry.descriptorSize

        firstMetaBlockGroup = UInt64(try raw.u32(at: 0x104))
        reservedDescriptorBlocks = UInt64(try raw.u16(at: 0xCE))
        group = UInt64(try raw.u16(at: 0x5A))
        backupGroups = [UInt64(try raw.u32(at: 0x24C)), UInt64(try raw.u32(at: 0x250))]
        label = Array(try raw.array(at: 0x78, count: 16).prefix { $0 != 0 })

        let wide = features.has(.wide)
        let ratio = blocksPerCluster
        let free = try Self.pair(raw, 0x0C, wide ? 0x158 : nil)
        // bigalloc counts free blocks in blocks here, and in clusters in the descriptors.
        freeBlocks = min(free, blocksCount)
        reservedBlocks = min(try Self.pair(raw, 0x08, wide ? 0x154 : nil), blocksCount)
        let overhead = UInt64(try raw.u32(at: 0x248)).multipliedReportingOverflow(by: ratio)
        overheadBlocks = overhead.overflow ? 0 : overhead.partialValue
        freeInodes = UInt64(try raw.u32(at: 0x10))

        journalInode = UInt64(try raw.u32(at: 0xE0))
        let journalUUID = try raw.array(at: 0xD0, count: 16)
        journalDeviceIsNamed = journalUUID.contains { $0 != 0 }
        hashSeed = [
            try raw.u32(at: 0xEC), try raw.u32(at: 0xF0),
            try raw.u32(at: 0xF4), try raw.u32(at: 0xF8),
        ]
        hashIsUnsigned = try raw.u32(at: 0x160) & 2 != 0
    }

    private static func checksum(
        _ raw: RawSpan,
        _ features: Ext4Features,
        _ uuid: [UInt8]
    ) throws(DiskError) -> (seed: UInt32, matches: Bool) {
        let recorded = try raw.u32(at: 0x270)
        var ofUUID = CRC32C()
        ofUUID.add(uuid)
        let seed = features.has(.checksumSeed) ? recorded : ofUUID.value
        guard features.hasMetadataChecksums else { return (seed, true) }
        var sum = CRC32C()
        sum.add(try raw.slice(at: 0, count: 0x3FC))
        // 1 is crc32c; no other checksum type was ever defined.
        let known = try raw.u8(at: 0x175) == 1
        let right = try raw.u32(at: 0x3FC) == sum.value
        return (seed, known && right)
    }

    /// A number whose halves stand at two places, the upper one only in wider formats.
    static func pair(_ raw: RawSpan, _ low: Int, _ high: Int?) throws(DiskError) -> UInt64 {
        let lower = UInt64(try raw.u32(at: low))
        guard let high else { return lower }
        return try UInt64(raw.u32(at: high)) << 32 | lower
    }
}

extension Ext4Superblock {
    /// Blocks of a group's inode table.
    package var inodeTableBlocks: UInt64 {
        (inodesPerGroup * UInt64(inodeSize) + UInt64(blockSize) - 1) >> blockShift
    }

    /// How many descriptors fit into a block.
    package var descriptorsPerBlock: UInt64 { UInt64(blockSize / descriptorSize) }

    /// Blocks of the whole descriptor table.
    package var descriptorBlocks: UInt64 {
        (groupCount + descriptorsPerBlock - 1) / descriptorsPerBlock
    }

    /// The first block of `group`, which must be a group there is.
    package func firstBlock(of group: UInt64) -> UInt64 { firstDataBlock + group * blocksPerGroup }

    /// Whether `group` begins with a copy of the superblock.
    package func hasSuperblock(_ group: UInt64) -> Bool {
        if group == 0 { return true }
        if features.hasTwoBackups { return backupGroups.contains(group) }
        if group == 1 || !features.hasSparseBackups { return true }
        return ([3, 5, 7] as [UInt64]).contains { base in
            var power = base
            while power < group { power *= base }
            return power == group
        }
    }
}
