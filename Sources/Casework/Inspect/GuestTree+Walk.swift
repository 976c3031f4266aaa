package import DiskFormats

extension GuestTree {
    /// A file that a walk came to.
    package struct Found: Sendable {
        /// The volume that it is on, and the file system there.
        package let volume: GuestPath.VolumeName
        package let fileSystem: any FileSystem
        /// The whole path within the tree.
        package let path: [UInt8]
        /// The last component of the path.
        package let name: [UInt8]
        /// What its inode says, or why it cannot be read.
        package let inode: Result<Inode, DiskError>

        package init(
            volume: GuestPath.VolumeName,
            fileSystem: any FileSystem,
            path: [UInt8],
            name: [UInt8],
            inode: Result<Inode, DiskError>
        ) {
            self.volume = volume
            self.fileSystem = fileSystem
            self.path = path
            self.name = name
            self.inode = inode
        }
    }

    /// One report of a walk.
    package enum Event: Sendable {
        /// A file.
        case found(Found)
        /// A directory that the guest mounts something on which is not at hand, and why.
        case notMounted(MountPoint, GloveboxError)
        /// A directory that could not be read, or not completely.
        case problem(volume: GuestPath.VolumeName, path: [UInt8], DiskError)
    }

    /// Reports everything below the directory `start`, across the tree's mounts.
    ///
    /// What a mount hides is not reported. Returns false where `body` stopped the walk.
    @discardableResult
    package func walk<Failure: Error>(
        below start: GuestFile,
        _ body: (Event) throws(Failure) -> TreeWalk.Next
    ) throws(Failure) -> Bool {
        let slash = [UInt8(ascii: "/")]
        let prefix = start.path == slash ? slash : start.path + slash
        let inside = mountPoints.filter { !$0.point.isEmpty }
            .map { (path: GuestPath.joined($0.point), place: $0) }
            .filter { $0.path.starts(with: prefix) }
        return try TreeWalk.run(start.fileSystem, from: start.inode, prefix: prefix) {
            (event) throws(Failure) -> TreeWalk.Next in
            switch event {
            case .problem(let path, let error):
                let place = path.count == prefix.count ? start.path : path
                return try body(.problem(volume: start.volume, path: place, error))
            case .item(let item):
                var mount: Mount?
                if let place = inside.last(where: { $0.path == item.path })?.place {
                    do throws(GloveboxError) {
                        mount = try mountInPassing(place)
                    } catch {
                        if try body(.notMounted(place, error)) == .stop { return .stop }
                    }
                }
                guard let mount else {
                    return try body(
                        .found(
                            Found(
                                volume: start.volume,
                                fileSystem: start.fileSystem,
                                path: item.path,
                                name: item.entry.name,
                                inode: item.inode
                            )
                        )
                    )
                }
                return try walk(mount: mount, at: item.path, name: item.entry.name, body)
            }
        }
    }

    private func walk<Failure: Error>(
        mount: Mount,
        at path: [UInt8],
        name: [UInt8],
        _ body: (Event) throws(Failure) -> TreeWalk.Next
    ) throws(Failure) -> TreeWalk.Next {
        let root = mount.fileSystem.rootInode
        let inode = Result { () throws(DiskError) in try mount.fileSystem.inode(root) }
        let found = Found(
            volume: mount.volume,
            fileSystem: mount.fileSystem,
            path: path,
            name: name,
            inode: inode
        )
        guard case .enter = try body(.found(found)) else { return .skip }
        let file = GuestFile(
            volume: mount.volume,
            fileSystem: mount.fileSystem,
            inode: root,
            path: path
        )
        return try walk(below: file, body) ? .skip : .stop
    }
}
