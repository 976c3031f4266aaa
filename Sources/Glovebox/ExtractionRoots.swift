package import Casework
internal import Linux

/// What the user asked to extract, as the places where it is.
package struct ExtractionRoots {
    /// One for each path, and one for each file system that the guest mounts beneath it.
    package let roots: [Extraction.Root]
    /// What the guest mounts there but is not at hand, a sentence each.
    package let leftOut: [String]
    /// Whether the guest's own files are among that, so that the extraction cannot be complete.
    package let lacksMount: Bool

    /// Resolves guest paths; symbolic links on the way are followed, one in the last place is not.
    ///
    /// In the destination a file has its path in the guest. Where several trees were asked for, the
    /// files of a volume that was named are in `DISK/VOLUME`. What another path covers already is
    /// taken once.
    package init(_ arguments: [String], of instance: Instance) throws(GloveboxError) {
        var places: [Place] = []
        for argument in arguments {
            let path = try instance.path(argument)
            let tree = try instance.tree(of: path)
            let file = try tree.resolve(path.path, followLast: false)
            places.append(Place(volume: path.volume, tree: tree, file: file))
        }
        let hasSeveralTrees = Set(places.map(\.volume)).count > 1
        var roots: [Extraction.Root] = []
        var leftOut: [String] = []
        var lacksMount = false
        for (index, place) in places.enumerated() {
            let isCovered = places.enumerated().contains { other in
                other.offset != index && other.element.covers(place)
                    && (other.offset < index || !place.covers(other.element))
            }
            if isCovered { continue }
            roots += try place.roots(of: instance, prefixed: hasSeveralTrees) { point, error in
                leftOut.append(error.message)
                if !point.isExpendable { lacksMount = true }
            }
        }
        self.roots = roots
        self.leftOut = leftOut
        self.lacksMount = lacksMount
    }
}

/// A path that was asked for.
private struct Place {
    let volume: GuestPath.VolumeName?
    let tree: GuestTree
    let file: GuestFile

    func covers(_ other: Place) -> Bool {
        volume == other.volume
            && GuestPath.components(of: other.file.path)
                .starts(with: GuestPath.components(of: file.path))
    }

    /// The place itself and what is mounted beneath it.
    func roots(
        of instance: Instance,
        prefixed: Bool,
        missing: (GuestTree.MountPoint, GloveboxError) -> Void
    ) throws(GloveboxError) -> [Extraction.Root] {
        var prefix: [[UInt8]] = []
        if prefixed, let volume {
            prefix = [volume.disk, volume.volume].filter { !$0.isEmpty }
                .map { CommandLineBytes.decode($0) }
        }
        let mounts = tree.mounts(below: file.path, missing: missing)
        var tops = [file]
        for mount in mounts {
            tops.append(
                GuestFile(
                    volume: mount.volume,
                    fileSystem: mount.fileSystem,
                    inode: mount.fileSystem.rootInode,
                    path: GuestPath.joined(mount.point),
                    volumePath: mount.pathInVolume(GuestPath.joined(mount.point))
                )
            )
        }
        let covered = mounts.compactMap { coveredDirectory($0) }
        var roots: [Extraction.Root] = []
        for top in tops {
            let hidden = covered.filter { $0.volume == top.volume }.map(\.inode)
            let name = (prefix + GuestPath.components(of: top.path)).joined(separator: [0x2F])
            roots.append(
                Extraction.Root(
                    top.fileSystem,
                    inode: top.inode,
                    guestPath: top.path,
                    name: [UInt8](name),
                    hidden: Set(hidden),
                    layers: try instance.disk(top.volume.disk).image.spliceFiles,
                    volume: top.volume.description,
                    volumePath: volume == nil ? top.volumePath : nil
                )
            )
        }
        return roots
    }

    /// The directory that `mount` stands in front of, on the file system that it is part of.
    private func coveredDirectory(_ mount: GuestTree.Mount) -> GuestFile? {
        let others = tree.mountPoints.filter { $0.point != mount.point }
        let below = GuestTree(root: tree.root, mountPoints: others)
        return try? below.resolve(GuestPath.joined(mount.point))
    }
}
