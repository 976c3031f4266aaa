extension Ext4FileSystem {
    /// The volume as it is after the journal.
    struct OpenedJournal {
        let volume: any BlockSource
        let state: FileSystemSummary.JournalState
        let problems: [DiskError]
    }

    /// More pieces than any journal is in; a file system that was made whole has one to three.
    private static let journalExtentsMax = 1 << 18

    /// Replays the journal in memory, or nil where there is nothing to replay.
    ///
    /// A backup superblock does not know whether there is, so that then the journal itself is
    /// asked, as e2fsck does.
    func openJournal(
        _ policy: JournalPolicy,
        isBackup: Bool
    ) throws(DiskError) -> OpenedJournal? {
        guard superblock.features.hasJournal else { return nil }
        guard superblock.features.has(.recover) else {
            return isBackup ? openUnannouncedJournal(policy) : nil
        }
        guard policy == .replay else {
            return OpenedJournal(volume: volume, state: .ignored, problems: [])
        }
        let replay = try JournalReplay.scan(
            journal: try journalSource(),
            volume: volume,
            fileSystemBlockSize: superblock.blockSize
        )
        return Self.opened(replay)
    }

    private static func opened(_ replay: JournalReplay) -> OpenedJournal {
        let counts = FileSystemSummary.JournalState.replayed(
            transactions: replay.transactions,
            blocks: replay.blocks
        )
        return OpenedJournal(volume: replay.volume, state: counts, problems: replay.problems)
    }

    private func openUnannouncedJournal(_ policy: JournalPolicy) -> OpenedJournal? {
        do throws(DiskError) {
            let journal = try journalSource()
            // The block where the log begins (s_start), big-endian; 0 where it is empty.
            let head = try journal.bytes(at: 0, count: 1024)
            let span = head.span
            guard try span.raw.be(UInt32.self, at: 0x1C) != 0 else { return nil }
            guard policy == .replay else {
                return OpenedJournal(volume: volume, state: .ignored, problems: [])
            }
            let replay = try JournalReplay.scan(
                journal: journal,
                volume: volume,
                fileSystemBlockSize: superblock.blockSize
            )
            return Self.opened(replay)
        } catch {
            return OpenedJournal(volume: volume, state: .ignored, problems: [error])
        }
    }

    /// The bytes of the journal's file.
    private func journalSource() throws(DiskError) -> ExtentsSource {
        guard superblock.journalInode != 0 else {
            throw DiskError(
                .unsupported,
                "ext4 journal",
                at: Ext4Superblock.primaryOffset + 0xE0,
                "it stands on another device and has to be replayed; bring that device, or have "
                    + "the journal ignored"
            )
        }
        let node = try node(superblock.journalInode)
        // A journal has no holes, so it cannot be larger than the volume.
        guard node.type == .regular, node.size <= volume.byteCount else {
            throw DiskError(
                .inconsistent,
                "ext4 journal",
                at: node.offset,
                "is no regular file that the volume has room for"
            )
        }
        var extents: [FileExtent] = []
        var start: UInt64 = 0
        while start < node.size {
            let end = min(node.size, start + 64 << 20)
            extents += try self.extents(of: node, in: start..<end)
            guard extents.count <= Self.journalExtentsMax else {
                throw DiskError(
                    .outOfRange,
                    "ext4 journal",
                    at: node.offset,
                    "consists of more than \(Self.journalExtentsMax) pieces"
                )
            }
            start = end
        }
        try Self.refuseHoles(extents, of: node)
        return ExtentsSource(volume: volume, extents: extents, byteCount: node.size)
    }

    /// Throws where a part of the journal has no blocks: read as zeros, it would look like the end
    /// of the log, and what was committed after it would be missing. (Linux refuses to mount.)
    private static func refuseHoles(
        _ extents: [FileExtent],
        of node: Ext4Node
    ) throws(DiskError) {
        for extent in extents {
            switch extent.content {
            case .volume, .unreadable: continue
            case .hole, .unwritten, .inline:
                throw DiskError(
                    .inconsistent,
                    "ext4 journal",
                    at: node.offset,
                    "has no blocks for its bytes "
                        + "\(extent.fileOffset)..<\(extent.fileOffset + extent.length)"
                )
            }
        }
    }
}
