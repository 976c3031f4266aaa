extension Ext4FileSystem {
    /// The volume as it is after the journal, or nil where there is nothing to replay.
    func openJournal(
        _ policy: JournalPolicy
    ) throws(DiskError) -> (volume: any BlockSource, state: FileSystemSummary.JournalState)? {
        guard superblock.features.has(.recover) else { return nil }
        guard policy == .replay else { return (volume, .ignored) }
        throw DiskError(.unsupported, "ext4 journal", "the journal has to be replayed")
    }
}
