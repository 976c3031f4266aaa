/// What a target is opened for; an approval lists which of these it allows.
public enum Purpose: String, Sendable, CaseIterable {
    /// Names, sizes and metadata: disks, ls, find, stat, df.
    case list
    /// The content of files, shown: cat.
    case read
    /// Taking files out: extract.
    case extract
    /// Checking file systems: fsck.
    case check
}
