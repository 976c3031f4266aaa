public import DiskFormats

/// A file that a guest path led to.
public struct GuestFile: Sendable {
    /// The volume that it is on.
    public let volume: GuestPath.VolumeName
    /// The file system on that volume.
    public let fileSystem: any FileSystem
    /// Its inode number there.
    public let inode: UInt64
    /// The path that led here, symbolic links and `..` resolved, within the tree that was asked.
    public let path: [UInt8]

    package init(
        volume: GuestPath.VolumeName,
        fileSystem: any FileSystem,
        inode: UInt64,
        path: [UInt8]
    ) {
        self.volume = volume
        self.fileSystem = fileSystem
        self.inode = inode
        self.path = path
    }
}

/// A guest's tree of names: one file system, or several where its fstab mounts them.
///
/// Every lookup stays inside: an absolute symbolic link starts at this tree's root, and `..` at
/// the root stays there. Nothing of the host is ever consulted.
package struct GuestTree: Sendable {
    /// A file system and where it is mounted.
    package struct Mount: Sendable {
        package let point: [[UInt8]]
        package let volume: GuestPath.VolumeName
        package let fileSystem: any FileSystem

        package init(
            point: [[UInt8]],
            volume: GuestPath.VolumeName,
            fileSystem: any FileSystem
        ) {
            self.point = point
            self.volume = volume
            self.fileSystem = fileSystem
        }
    }

    /// A mount of the fstab whose file system is not at hand, and why.
    package struct MissingMount: Sendable {
        package let point: [[UInt8]]
        package let reason: String
    }

    /// The root first; then the others in the order of the fstab.
    package let mounts: [Mount]
    /// What the guest mounts too, but is not here; paths beneath are refused.
    package let missing: [MissingMount]

    /// As Linux: the number of symbolic links that one lookup may pass.
    private static let linkCountMax = 40
    /// More than any path of a real guest (Linux: 4,096 bytes).
    private static let componentCountMax = 4096

    package init(mounts: [Mount], missing: [MissingMount] = []) {
        self.mounts = mounts
        self.missing = missing
    }

    /// The file at `path`; a symbolic link in its last place is followed unless told otherwise.
    package func resolve(_ path: [UInt8], followLast: Bool = true) throws(GloveboxError)
        -> GuestFile
    {
        var lookup = Lookup(pending: GuestPath.components(of: path).reversed())
        var links = 0
        var position = try enter([])
        while let name = lookup.pending.popLast() {
            guard lookup.pending.count + lookup.done.count <= Self.componentCountMax else {
                throw failure(.notFound, path, "has too many components")
            }
            if name == [UInt8](repeating: UInt8(ascii: "."), count: 2) {
                if !lookup.done.isEmpty { lookup.done.removeLast() }
                position = try retrace(lookup.done)
                continue
            }
            let child = try step(to: name, from: position, lookup, path)
            let isLast = lookup.pending.isEmpty
            if child.type == .symbolicLink, followLast || !isLast {
                links += 1
                guard links <= Self.linkCountMax else {
                    throw failure(
                        .notFound,
                        path,
                        "passes more than \(Self.linkCountMax) symbolic links"
                    )
                }
                position = try follow(child, from: position, &lookup, path)
                continue
            }
            lookup.done.append(name)
            position =
                try mounted(at: lookup.done) ?? Position(mount: position.mount, inode: child.number)
        }
        let mount = mounts[position.mount]
        return GuestFile(
            volume: mount.volume,
            fileSystem: mount.fileSystem,
            inode: position.inode,
            path: GuestPath.joined(lookup.done)
        )
    }

    private struct Position {
        var mount: Int
        var inode: UInt64
    }

    private struct Lookup {
        /// What is left to resolve, the next component last.
        var pending: [[UInt8]]
        /// The canonical path so far.
        var done: [[UInt8]] = []
    }

    private func enter(_ point: [[UInt8]]) throws(GloveboxError) -> Position {
        guard let found = try mounted(at: point) else {
            throw GloveboxError(.notFound, "The guest's tree has no root.")
        }
        return found
    }

    private func mounted(at point: [[UInt8]]) throws(GloveboxError) -> Position? {
        if let absent = missing.first(where: { $0.point == point }) {
            throw GloveboxError(
                .notFound,
                "The guest mounts \(GuestName.escaped(GuestPath.joined(point))) from a file system "
                    + "that is not at hand: \(absent.reason)",
                advice: "Name the volume: DISK:VOLUME:/path. `glovebox disks` lists them."
            )
        }
        guard let index = mounts.lastIndex(where: { $0.point == point }) else { return nil }
        return Position(mount: index, inode: mounts[index].fileSystem.rootInode)
    }

    /// The inode of a path that has been resolved before, and so has no symbolic links.
    private func retrace(_ components: [[UInt8]]) throws(GloveboxError) -> Position {
        var position = try enter([])
        for end in components.indices {
            let place = Array(components[...end])
            if let other = try mounted(at: place) {
                position = other
                continue
            }
            let fileSystem = mounts[position.mount].fileSystem
            let parent = position.inode
            position.inode = try reading(GuestName.escaped(GuestPath.joined(place))) {
                () throws(DiskError) in
                guard let next = try fileSystem.lookup(components[end], in: parent) else {
                    throw DiskError(.inconsistent, "directory", "a name vanished while it was read")
                }
                return next
            }
        }
        return position
    }

    private func step(
        to name: [UInt8],
        from position: Position,
        _ lookup: Lookup,
        _ path: [UInt8]
    ) throws(GloveboxError) -> Inode {
        let mount = mounts[position.mount]
        let place = GuestPath.joined(lookup.done + [name])
        let object = "\(mount.volume):\(GuestName.escaped(place))"
        let parent = try reading(object) { () throws(DiskError) in
            try mount.fileSystem.inode(position.inode)
        }
        guard parent.type == .directory else {
            throw failure(.notFound, GuestPath.joined(lookup.done), "is not a directory", mount)
        }
        let child = try reading(object) { () throws(DiskError) -> Inode? in
            guard let number = try mount.fileSystem.lookup(name, in: position.inode) else {
                return nil
            }
            return try mount.fileSystem.inode(number)
        }
        guard let child else { throw failure(.notFound, place, "does not exist", mount) }
        return child
    }

    private func follow(
        _ link: Inode,
        from position: Position,
        _ lookup: inout Lookup,
        _ path: [UInt8]
    ) throws(GloveboxError) -> Position {
        let fileSystem = mounts[position.mount].fileSystem
        let target = try reading(GuestName.escaped(path)) { () throws(DiskError) in
            try fileSystem.linkTarget(of: link.number)
        }
        lookup.pending.append(contentsOf: GuestPath.components(of: target).reversed())
        guard target.first == UInt8(ascii: "/") else { return position }
        lookup.done = []
        return try enter([])
    }

    private func failure(
        _ kind: GloveboxError.Kind,
        _ path: [UInt8],
        _ text: String,
        _ mount: Mount? = nil
    ) -> GloveboxError {
        let place = mount.map { "\($0.volume):" } ?? ""
        return GloveboxError(kind, "\(place)\(GuestName.escaped(path)) \(text).")
    }
}
