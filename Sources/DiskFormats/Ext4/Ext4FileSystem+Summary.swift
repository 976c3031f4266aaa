extension Ext4FileSystem {
    /// What blkid, dumpe2fs and statfs(2) say of it, and what was found damaged so far.
    ///
    /// As in statfs, `totalBytes` leaves out the overhead: superblocks, descriptors, bitmaps, inode
    /// tables and the journal. `availableBytes` leaves out the blocks reserved for root and those
    /// that Linux keeps back for extents. Free counts are the superblock's, but summed from the
    /// group descriptors where that may be old: after a journal, or where it is a backup.
    public var summary: FileSystemSummary {
        let free = freeCounts
        let reserved = superblock.reservedBlocks + keptBack
        let shift = superblock.blockShift
        let total = superblock.blocksCount - min(overheadBlocks, superblock.blocksCount)
        return FileSystemSummary(
            type: superblock.features.typeName,
            label: superblock.label,
            uuid: IdentifierText.uuid(superblock.uuid),
            blockSize: superblock.blockSize,
            totalBytes: total << shift,
            freeBytes: free.blocks << shift,
            availableBytes: (free.blocks - min(reserved, free.blocks)) << shift,
            totalInodes: superblock.inodesCount,
            freeInodes: free.inodes,
            features: superblock.features.names,
            journal: journalState,
            problems: openingProblems + groups.problems
        )
    }

    private var freeCounts: (blocks: UInt64, inodes: UInt64) {
        let recorded = (superblock.freeBlocks, superblock.freeInodes)
        guard isUnsettled, superblock.groupCount <= 1 << 20 else { return recorded }
        var clusters: UInt64 = 0
        var inodes: UInt64 = 0
        for group in 0..<superblock.groupCount {
            guard let descriptor = try? groups.descriptor(of: group) else { return recorded }
            clusters += descriptor.freeClusters
            inodes += descriptor.freeInodes
        }
        let blocks = clusters * superblock.blocksPerCluster
        return (min(blocks, superblock.blocksCount), min(inodes, superblock.inodesCount))
    }

    /// A fiftieth, at most 4,096 clusters, that Linux keeps for growing extent trees.
    private var keptBack: UInt64 {
        guard superblock.features.has(.extents) else { return 0 }
        let ratio = superblock.blocksPerCluster
        return min(superblock.blocksCount / ratio / 50, 4096) * ratio
    }

    /// Blocks that hold no files, counted as `ext4_calculate_overhead` in Linux does.
    private var overheadBlocks: UInt64 {
        if superblock.features.hasClusters, superblock.overheadBlocks > 0,
            superblock.overheadBlocks <= superblock.blocksCount
        {
            return superblock.overheadBlocks
        }
        let groups = superblock.groupCount
        guard groups <= 1 << 20 else { return superblock.overheadBlocks }
        let inMeta = superblock.features.has(.metaBlockGroups)
        let plain = inMeta ? superblock.firstMetaBlockGroup : superblock.descriptorBlocks
        var blocks = superblock.firstDataBlock + groups * (superblock.inodeTableBlocks + 2)
        for group in 0..<groups {
            let hasSuperblock = superblock.hasSuperblock(group)
            if hasSuperblock { blocks += 1 + superblock.reservedDescriptorBlocks }
            let index = group / superblock.descriptorsPerBlock
            if inMeta, index >= superblock.firstMetaBlockGroup {
                let place = group % superblock.descriptorsPerBlock
                if place <= 1 || place == superblock.descriptorsPerBlock - 1 { blocks += 1 }
            } else if hasSuperblock {
                blocks += plain
            }
        }
        return blocks + journalBlocks
    }

    private var journalBlocks: UInt64 {
        guard superblock.features.hasJournal, superblock.journalInode != 0,
            let journal = try? node(superblock.journalInode)
        else { return 0 }
        return journal.size >> superblock.blockShift
    }
}
