package import Casework
internal import DiskFormats

/// What the user asked to extract, as the places where it is.
package struct ExtractionRoots {
    /// One for each path and for each file system that the guest mounts beneath it.
    package let roots: [Extraction.Root]

    /// Resolves guest paths; symbolic links on the way are followed, one in the last place is not.
    ///
    /// In the destination a file has its path in the guest. Files of a volume that was named keep
    /// `DISK/VOLUME` in front of it where several volumes were asked for.
    package init(_ arguments: [String], of instance: Instance) throws(GloveboxError) {
        var places: [(file: GuestFile, tree: GuestTree)] = []
        var trees: Set<String> = []
        for argument in arguments {
            let path = try instance.path(argument)
            let tree = try instance.tree(of: path)
            places.append((try tree.resolve(path.path, followLast: false), tree))
            trees.insert(path.volume?.description ?? "")
        }
        var roots: [Extraction.Root] = []
        for (file, tree) in places {
            let isGuestTree = tree.mounts.count > 1 || trees.count == 1
            let prefix = isGuestTree ? [] : Self.prefix(file.volume)
            roots.append(Self.root(file, prefix))
            let inside = file.path == [0x2F] ? file.path : file.path + [0x2F]
            for mount in tree.mounts where !mount.point.isEmpty {
                let point = GuestPath.joined(mount.point)
                guard point.starts(with: inside) else { continue }
                let top = GuestFile(
                    volume: mount.volume,
                    fileSystem: mount.fileSystem,
                    inode: mount.fileSystem.rootInode,
                    path: point
                )
                roots.append(Self.root(top, prefix))
            }
        }
        self.roots = roots
    }

    private static func root(_ file: GuestFile, _ prefix: [UInt8]) -> Extraction.Root {
        Extraction.Root(
            file.fileSystem,
            inode: file.inode,
            guestPath: file.path,
            name: prefix + file.path.dropFirst(prefix.isEmpty ? 1 : 0)
        )
    }

    private static func prefix(_ volume: GuestPath.VolumeName) -> [UInt8] {
        let name = volume.volume.isEmpty ? volume.disk : "\(volume.disk)/\(volume.volume)"
        return [UInt8](name.utf8)
    }
}
