internal import DiskFormats

/// Where a guest's root is on a btrfs, which is opened as a whole: its subvolumes are directories.
enum Subvolumes {
    /// Directories at the top that may be the root; more than any guest has there.
    private static let candidatesMax = 256
    private static let deepNames = ["@/.snapshots/1/snapshot"]

    /// The directories, as paths, in which `fstab` finds an fstab that is taken for the root's.
    ///
    /// Among several, those whose own fstab mounts them as `/`.
    static func roots(
        of fileSystem: any FileSystem,
        fstab: (any FileSystem) throws(GloveboxError) -> [UInt8]?
    ) throws(GloveboxError) -> (fileSystem: any FileSystem, fstab: [UInt8])? {
        guard let listing = try? fileSystem.entries(of: fileSystem.rootInode) else { return nil }
        let directories = listing.entries.filter { $0.type == .directory }
        var paths = directories.prefix(candidatesMax).map { [$0.name] }
        paths += deepNames.map { GuestPath.components(of: [UInt8]($0.utf8)) }
        var found: [(fileSystem: any FileSystem, fstab: [UInt8], isNamed: Bool)] = []
        for path in paths {
            guard let part = part(path, of: fileSystem), let text = try fstab(part) else {
                continue
            }
            let isNamed = Fstab.parse(text).contains {
                $0.mountPoint.isEmpty && $0.subvolume == path
            }
            found.append((part, text, isNamed))
        }
        if found.count > 1 { found = found.filter(\.isNamed) }
        return found.count == 1 ? found.first.map { ($0.fileSystem, $0.fstab) } : nil
    }

    /// `fileSystem` from the directory `path` on; nil where there is none.
    static func part(_ path: [[UInt8]], of fileSystem: any FileSystem) -> (any FileSystem)? {
        var current = fileSystem.rootInode
        for name in path {
            guard let next = try? fileSystem.lookup(name, in: current),
                (try? fileSystem.inode(next))?.type == .directory
            else { return nil }
            current = next
        }
        return path.isEmpty
            ? fileSystem : SubtreeFileSystem(base: fileSystem, rootInode: current)
    }
}
