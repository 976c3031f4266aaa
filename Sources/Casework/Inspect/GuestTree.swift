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

    /// The same within the volume's own tree; nil where that is not known, as in a subvolume.
    package let volumePath: [UInt8]?

    package init(
        volume: GuestPath.VolumeName,
        fileSystem: any FileSystem,
        inode: UInt64,
        path: [UInt8],
        volumePath: [UInt8]? = nil
    ) {
        self.volumePath = volumePath
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

        /// Where `path` of the tree, which lies on this mount, is within the volume; nil where that is
        /// not known, since the mount shows a subvolume.
        package func pathInVolume(_ path: [UInt8]) -> [UInt8]? {
            guard !(fileSystem is SubtreeFileSystem) else { return nil }
            return GuestPath.joined(Array(GuestPath.components(of: path).dropFirst(point.count)))
        }
    }

    /// A place where the guest mounts something, opened when a path first passes it.
    package final class MountPoint: Sendable {
        package let point: [[UInt8]]
        /// Whether a listing counts as complete without it.
        package let isExpendable: Bool
        private let open: @Sendable () throws(GloveboxError) -> Mount
        private let passing: (@Sendable () throws(GloveboxError) -> Void)?
        private let memo = Memo<Mount>()

        /// `passing` throws where a walk that comes by is to leave the mount out.
        package init(
            _ point: [[UInt8]],
            isExpendable: Bool = false,
            passing: (@Sendable () throws(GloveboxError) -> Void)? = nil,
            open: @escaping @Sendable () throws(GloveboxError) -> Mount
        ) {
            self.point = point
            self.isExpendable = isExpendable
            self.passing = passing
            self.open = open
        }

        /// What is mounted here, for a walk that comes by rather than a path that leads here.
        package func mountInPassing() throws(GloveboxError) -> Mount {
            if memo.made == nil { try passing?() }
            return try mount()
        }

        /// What is mounted here; throws where it is not at hand or cannot be read.
        package func mount() throws(GloveboxError) -> Mount {
            try memo.get(open)
        }
    }

    /// The root file system.
    package let root: Mount
    /// What is mounted into it, in the order of the fstab.
    package let mountPoints: [MountPoint]
    /// What lookups have to lie in; nil where everything may be looked at.
    package var limit: ScopeLimit?

    /// As Linux: the number of symbolic links that one lookup may pass.
    private static let linkCountMax = 40
    /// More than any path of a real guest (Linux: 4,096 bytes).
    private static let componentCountMax = 4096

    package init(root: Mount, mountPoints: [MountPoint] = []) {
        self.root = root
        self.mountPoints = mountPoints
    }

    /// What the guest mounts strictly below `path`; a file system that is not at hand is left out,
    /// and said to `missing`.
    package func mounts(
        below path: [UInt8],
        missing: (MountPoint, GloveboxError) -> Void = { _, _ in }
    ) -> [Mount] {
        let start = GuestPath.components(of: path)
        return mountPoints.compactMap { place in
            guard place.point.count > start.count, place.point.starts(with: start) else {
                return nil
            }
            do throws(GloveboxError) { return try mountInPassing(place) } catch {
                missing(place, error)
                return nil
            }
        }
    }

    /// What is mounted at `place`, for a walk that comes by; refused where it is out of the limit.
    func mountInPassing(_ place: MountPoint) throws(GloveboxError) -> Mount {
        let mount = try place.mountInPassing()
        let path = GuestPath.joined(place.point)
        if let limit, !limit.covers(mount, path) {
            throw limit.refusal(of: path, on: mount, isWithin: false)
        }
        return mount
    }

    /// The file at `path`; a symbolic link in its last place is followed unless told otherwise.
    ///
    /// Where the tree has a limit, what is not inside is refused, whether it exists or not.
    package func resolve(_ path: [UInt8], followLast: Bool = true) throws(GloveboxError)
        -> GuestFile
    {
        var lookup = Lookup(pending: GuestPath.components(of: path).reversed(), start: start)
        let file: GuestFile
        do throws(GloveboxError) {
            file = try resolve(path, &lookup, followLast: followLast)
        } catch {
            // What was asked for may be inside though a directory on the way to it is not.
            let isPlain = lookup.linkCount == 0 && !Self.hasParent(path)
            if !isPlain || limit?.covers(lookup.position.mount, path) == false {
                try refuseOutside(path, at: lookup.place, lookup.position.mount)
            }
            throw error
        }
        try refuseOutside(path, at: file.path, lookup.position.mount)
        return file
    }

    /// Refuses `place`, to which `path` led, where it is out of the limit.
    private func refuseOutside(
        _ path: [UInt8],
        at place: [UInt8],
        _ mount: Mount
    ) throws(GloveboxError) {
        guard let limit, !limit.covers(mount, place) else { return }
        var asked: [[UInt8]] = []
        for name in GuestPath.components(of: path) {
            if name == Self.parent { _ = asked.popLast() } else { asked.append(name) }
        }
        // `/inside/../outside` leads outside by its `..`, as a link in it might.
        let beforeParent = GuestPath.components(of: path).prefix { $0 != Self.parent }
        let isWithin =
            limit.covers(mount, GuestPath.joined(asked))
            || Self.hasParent(path) && limit.covers(mount, GuestPath.joined(Array(beforeParent)))
        throw limit.refusal(of: path, on: mount, isWithin: isWithin)
    }

    private static let parent = [UInt8]("..".utf8)

    private static func hasParent(_ path: [UInt8]) -> Bool {
        GuestPath.components(of: path).contains(parent)
    }

    private func resolve(
        _ path: [UInt8],
        _ lookup: inout Lookup,
        followLast: Bool
    ) throws(GloveboxError) -> GuestFile {
        while let name = lookup.next() {
            guard lookup.pending.count + lookup.done.count <= Self.componentCountMax else {
                throw failure(.notFound, path, "has too many components")
            }
            if name == Self.parent {
                lookup.leave()
                continue
            }
            let position = lookup.position
            let child = try step(to: name, from: position, lookup)
            let isLast = lookup.pending.isEmpty
            if child.type == .symbolicLink, followLast || !isLast {
                lookup.linkCount += 1
                guard lookup.linkCount <= Self.linkCountMax else {
                    throw failure(
                        .notFound,
                        path,
                        "passes more than \(Self.linkCountMax) symbolic links"
                    )
                }
                try follow(child, from: position, &lookup, path)
                continue
            }
            let below = Position(mount: position.mount, inode: child.number)
            lookup.enter(name, try mounted(on: name, in: lookup.done) ?? below)
        }
        let position = lookup.position
        if path.last == UInt8(ascii: "/") { try demandDirectory(position, path) }
        return GuestFile(
            volume: position.mount.volume,
            fileSystem: position.mount.fileSystem,
            inode: position.inode,
            path: GuestPath.joined(lookup.done),
            volumePath: position.mount.pathInVolume(GuestPath.joined(lookup.done))
        )
    }

    private struct Position {
        var mount: Mount
        var inode: UInt64
    }

    private struct Lookup {
        /// What is left to resolve, the next component last.
        var pending: [[UInt8]]
        /// How many symbolic links were followed.
        var linkCount = 0
        /// The canonical path so far.
        private(set) var done: [[UInt8]] = []
        /// Where the path's start and each of its components are, so that `..` costs nothing.
        private var positions: [Position]

        init(pending: [[UInt8]], start: Position) {
            self.pending = pending
            positions = [start]
        }

        var position: Position { positions[done.count] }

        /// What is being looked at: the component that was taken last, in the directory so far.
        var place: [UInt8] { GuestPath.joined(done + (current.map { [$0] } ?? [])) }
        private var current: [UInt8]?

        mutating func next() -> [UInt8]? {
            current = pending.popLast()
            return current
        }

        mutating func enter(_ name: [UInt8], _ position: Position) {
            current = nil
            done.append(name)
            positions.append(position)
        }

        /// `..`; the root is its own parent.
        mutating func leave() {
            guard !done.isEmpty else { return }
            done.removeLast()
            positions.removeLast()
        }

        /// An absolute symbolic link.
        mutating func startAgain() {
            done = []
            positions.removeLast(positions.count - 1)
        }
    }

    private var start: Position { Position(mount: root, inode: root.fileSystem.rootInode) }

    /// What is mounted on `name` in the directory `done`.
    private func mounted(on name: [UInt8], in done: [[UInt8]]) throws(GloveboxError) -> Position? {
        let place = mountPoints.last {
            $0.point.count == done.count + 1 && $0.point.last == name && $0.point.starts(with: done)
        }
        guard let place else { return nil }
        let mount = try place.mount()
        return Position(mount: mount, inode: mount.fileSystem.rootInode)
    }

    private func step(
        to name: [UInt8],
        from position: Position,
        _ lookup: Lookup
    ) throws(GloveboxError) -> Inode {
        let mount = position.mount
        func place() -> [UInt8] { GuestPath.joined(lookup.done + [name]) }
        func object() -> String { "\(mount.volume):\(GuestName.escaped(place()))" }
        let parent = try reading(object()) { () throws(DiskError) in
            try mount.fileSystem.inode(position.inode)
        }
        guard parent.type == .directory else {
            throw failure(.notFound, GuestPath.joined(lookup.done), "is not a directory", mount)
        }
        let child = try reading(object()) { () throws(DiskError) -> Inode? in
            guard let number = try mount.fileSystem.lookup(name, in: position.inode) else {
                return nil
            }
            return try mount.fileSystem.inode(number)
        }
        guard let child else { throw failure(.notFound, place(), "does not exist", mount) }
        return child
    }

    private func follow(
        _ link: Inode,
        from position: Position,
        _ lookup: inout Lookup,
        _ path: [UInt8]
    ) throws(GloveboxError) {
        let fileSystem = position.mount.fileSystem
        let target = try reading(GuestName.escaped(path)) { () throws(DiskError) in
            try fileSystem.linkTarget(of: link.number)
        }
        lookup.pending.append(contentsOf: GuestPath.components(of: target).reversed())
        if target.first == UInt8(ascii: "/") { lookup.startAgain() }
    }

    /// A path that ends in a slash names a directory or nothing.
    private func demandDirectory(_ position: Position, _ path: [UInt8]) throws(GloveboxError) {
        let type = try reading(GuestName.escaped(path)) { () throws(DiskError) in
            try position.mount.fileSystem.inode(position.inode).type
        }
        guard type == .directory || type == .symbolicLink else {
            throw failure(.notFound, path, "is not a directory", position.mount)
        }
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
