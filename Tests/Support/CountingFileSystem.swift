package import DiskFormats
internal import Synchronization

/// Counts how often names are looked up in another file system.
package final class CountingFileSystem: FileSystem {
    /// What answers.
    package let base: FakeFileSystem
    private let count = Atomic(0)

    /// Counts what goes to `base`.
    package init(_ base: FakeFileSystem) { self.base = base }

    /// How many names were looked up so far.
    package var lookups: Int { count.load(ordering: .relaxed) }

    package var summary: FileSystemSummary { base.summary }
    package var volume: any BlockSource { base.volume }
    package var rootInode: UInt64 { base.rootInode }

    package func inode(_ number: UInt64) throws(DiskError) -> Inode { try base.inode(number) }

    package func entries(
        of directory: UInt64,
        heldBytesMax: Int
    ) throws(DiskError) -> DirectoryListing {
        try base.entries(of: directory, heldBytesMax: heldBytesMax)
    }

    package func lookup(_ name: [UInt8], in directory: UInt64) throws(DiskError) -> UInt64? {
        count.add(1, ordering: .relaxed)
        return try base.lookup(name, in: directory)
    }

    package func linkTarget(of number: UInt64) throws(DiskError) -> [UInt8] {
        try base.linkTarget(of: number)
    }

    package func extents(
        of number: UInt64,
        in range: Range<UInt64>
    ) throws(DiskError) -> [FileExtent] { try base.extents(of: number, in: range) }

    package func extendedAttributes(of number: UInt64) throws(DiskError) -> [ExtendedAttribute] {
        try base.extendedAttributes(of: number)
    }
}
