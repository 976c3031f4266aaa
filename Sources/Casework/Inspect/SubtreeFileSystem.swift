internal import DiskFormats

/// A file system seen from one of its directories on, as the guest mounts a subvolume of btrfs.
struct SubtreeFileSystem: FileSystem {
    let base: any FileSystem
    let rootInode: UInt64

    var summary: FileSystemSummary { base.summary }
    var volume: any BlockSource { base.volume }
    var knowsExtents: Bool { base.knowsExtents }

    func inode(_ number: UInt64) throws(DiskError) -> Inode { try base.inode(number) }

    func entries(
        of directory: UInt64,
        heldBytesMax: Int
    ) throws(DiskError) -> DirectoryListing {
        try base.entries(of: directory, heldBytesMax: heldBytesMax)
    }

    func lookup(_ name: [UInt8], in directory: UInt64) throws(DiskError) -> UInt64? {
        try base.lookup(name, in: directory)
    }

    func linkTarget(of number: UInt64) throws(DiskError) -> [UInt8] {
        try base.linkTarget(of: number)
    }

    func extents(of number: UInt64, in range: Range<UInt64>) throws(DiskError) -> [FileExtent] {
        try base.extents(of: number, in: range)
    }

    func extendedAttributes(of number: UInt64) throws(DiskError) -> [ExtendedAttribute] {
        try base.extendedAttributes(of: number)
    }
}
