internal import DiskFormats

/// Finds a guest's root file system among its volumes, and what its fstab mounts into it.
///
/// Disks are opened as they are needed: most paths need the first alone.
package struct GuestMounts: Sendable {
    let count: Int
    let disk: @Sendable (Int) throws(GloveboxError) -> Disk
    let opening: VolumeOpening
    /// Whether the engine may be started for finding the root.
    private(set) var usesEngine = false
    /// Whether a person may be asked for the passphrases of encrypted volumes.
    private var asksForKeys = false

    /// Looks at `count` disks, in the order in which Nova attaches them, opened by `disk`.
    package init(
        count: Int,
        opening: VolumeOpening = VolumeOpening(),
        disk: @escaping @Sendable (Int) throws(GloveboxError) -> Disk
    ) {
        self.count = count
        self.opening = opening
        self.disk = disk
    }

    /// The guest's tree.
    ///
    /// The root is the volume with an `/etc/fstab`, on the first disk, which is Nova's root disk, or
    /// else on the others; among several, the one whose fstab names itself as `/`; with none, the
    /// only file system. Anything else is refused as ambiguous, and so is whatever would be the root
    /// only because a volume that may be it cannot be read. Volumes without a signature are searched
    /// for a lost file system only where no other is the root.
    ///
    /// The engine is started where the native reader does not find the root, and something is there
    /// that it cannot look into.
    package func tree() throws(GloveboxError) -> GuestTree {
        var withEngine = self
        withEngine.usesEngine = true
        if opening.engine == nil || opening.choice == .native { return try find() }
        if opening.choice == .auto {
            do throws(GloveboxError) { return try find() } catch {
                guard hasMore() else { throw error }
            }
        }
        do throws(GloveboxError) { return try withEngine.find() } catch {
            guard try opening.engine?.mayAsk() == true else { throw error }
            withEngine.asksForKeys = true
            return try withEngine.find()
        }
    }

    private func find() throws(GloveboxError) -> GuestTree {
        let first = try onDisk(0)
        let onFirst = try candidates(among: first.filter(Self.hasSignature))
        if let root = rootByFstab(of: onFirst.readable) { return try tree(root) }
        if let hidden = onFirst.failures.first { throw obscured(hidden) }
        let all = try candidates(among: volumes())
        if let root = rootByFstab(of: all.readable) { return try tree(root) }
        if all.readable.count == 1, let only = all.readable.first {
            if let hidden = all.failures.first ?? diskFailure() { throw obscured(hidden) }
            return try tree(only)
        }
        throw ambiguous(all.readable)
    }

    private struct Candidate {
        let volume: Volume
        let fileSystem: any FileSystem
        /// Nil where there is none.
        let fstab: [FstabEntry]?
    }

    private static func hasSignature(_ volume: Volume) -> Bool {
        (try? volume.signatures())?.isEmpty == false
    }

    /// The volumes of one disk, those that lie within its volumes included.
    private func onDisk(_ index: Int) throws(GloveboxError) -> [Volume] {
        let disk = try disk(index)
        guard usesEngine, let engine = opening.engine else { return disk.volumes }
        let inner = asksForKeys ? try engine.innerVolumesAsking() : try engine.innerVolumes()
        return disk.volumes + inner.filter { $0.name.disk == disk.name }
    }

    /// All volumes of the disks that can be opened.
    func volumes() -> [Volume] {
        (0..<count).flatMap { (try? onDisk($0)) ?? [] }
    }

    /// Whether there is something that may hold the root and that only the engine opens.
    private func hasMore() -> Bool {
        volumes().contains { volume in
            guard let type = (try? volume.signatures())?.first?.type else { return false }
            let isContainer = ["LVM2_member", "linux_raid_member", Volume.encryptedType]
                .contains(type)
            return isContainer || volume.needsEngine && Self.mayBeRoot(volume)
        }
    }

    /// Why a disk cannot be opened, if one cannot.
    private func diskFailure() -> GloveboxError? {
        for index in 0..<count {
            do throws(GloveboxError) { _ = try disk(index) } catch { return error }
        }
        return nil
    }

    /// Whether a volume that could not be read may be the root all the same.
    private static func mayBeRoot(_ volume: Volume) -> Bool {
        guard let found = try? volume.signatures() else { return true }
        return found.contains { $0.usage != .other } && !volume.isNeverRoot
    }

    /// The file systems on `volumes`, and why those that may be the root as well cannot be read.
    private func candidates(
        among volumes: [Volume]
    ) throws(GloveboxError) -> (readable: [Candidate], failures: [GloveboxError]) {
        var found: [Candidate] = []
        var failures: [GloveboxError] = []
        var only: GloveboxError?
        for volume in volumes where !usesEngine || Self.mayBeRoot(volume) {
            do throws(GloveboxError) {
                var fileSystem =
                    usesEngine ? try volume.fileSystem() : try volume.nativeFileSystem()
                var text = try fstab(of: fileSystem, volume)
                if text == nil, fileSystem.summary.type == "btrfs",
                    let root = try Subvolumes.roots(
                        of: fileSystem,
                        fstab: { (part) throws(GloveboxError) in try fstab(of: part, volume) }
                    )
                {
                    (fileSystem, text) = (root.fileSystem, root.fstab)
                }
                found.append(
                    Candidate(
                        volume: volume,
                        fileSystem: fileSystem,
                        fstab: text.map(Fstab.parse)
                    )
                )
            } catch {
                only = error
                // What is in a container is among the volumes, where the engine looks.
                let isOpen =
                    usesEngine && Self.isContainer(volume)
                    || volumes.contains { $0.name == volume.name.unlocked }
                if Self.mayBeRoot(volume), !isOpen { failures.append(error) }
            }
        }
        // With one volume in all, its own error says more than "no file system found".
        if volumes.count == 1, count == 1, let only { throw only }
        return (found, failures)
    }

    /// Whether it is a part of other volumes.
    static func isContainer(_ volume: Volume) -> Bool {
        (try? volume.signatures())?.first?.usage == .raid
    }

    private func rootByFstab(of candidates: [Candidate]) -> Candidate? {
        let declaring = candidates.filter { $0.fstab != nil }
        if declaring.count <= 1 { return declaring.first }
        let namingThemselves = declaring.filter { candidate in
            candidate.fstab?.contains {
                $0.mountPoint.isEmpty && volume(named: $0.device) === candidate.volume
            } == true
        }
        return namingThemselves.count == 1 ? namingThemselves.first : nil
    }

    private func tree(_ root: Candidate) throws(GloveboxError) -> GuestTree {
        let mount = GuestTree.Mount(
            point: [],
            volume: root.volume.name,
            fileSystem: root.fileSystem
        )
        let entries = (root.fstab ?? []).filter {
            !$0.mountPoint.isEmpty && $0.isAutomatic && Self.isOnDisk($0)
        }
        guard entries.count <= Self.mountsMax else {
            throw GloveboxError(
                .unreadable,
                "The fstab on \(root.volume.name) mounts more than \(Self.mountsMax) volumes.",
                advice: "Name the volume, DISK:VOLUME:/path; `glovebox disks` lists them."
            )
        }
        let places = Self.canonicalPoints(of: entries, in: mount)
        let points = entries.enumerated().compactMap { index, entry -> GuestTree.MountPoint? in
            let place = places[index]
            // As for the kernel, the last of several mounts on one directory is the one to be seen.
            guard !place.isEmpty, !places[(index + 1)...].contains(place) else { return nil }
            return GuestTree.MountPoint(
                place,
                isExpendable: entry.isExpendable,
                passing: { () throws(GloveboxError) in try pass(entry) },
                open: { () throws(GloveboxError) in try mounted(entry, at: place) }
            )
        }
        return GuestTree(root: mount, mountPoints: points)
    }

    /// More than any guest mounts; each has to be compared with every name that is looked up.
    private static let mountsMax = 256

    /// Where the entries are mounted once symbolic links are followed, as mount(8) does.
    ///
    /// What lies below another mount is not looked up, so that no volume is opened for it.
    private static func canonicalPoints(
        of entries: [FstabEntry],
        in root: GuestTree.Mount
    ) -> [[[UInt8]]] {
        let tree = GuestTree(root: root)
        // By length, so that what a point lies below comes before it; the longest is found first.
        var known: [(point: [[UInt8]], place: [[UInt8]])] = []
        for point in entries.map(\.mountPoint).sorted(by: { $0.count < $1.count }) {
            let above = known.last { $0.point.count < point.count && point.starts(with: $0.point) }
            if let above {
                known.append((point, above.place + point.dropFirst(above.point.count)))
            } else if let file = try? tree.resolve(GuestPath.joined(point)) {
                known.append((point, GuestPath.components(of: file.path)))
            } else {
                known.append((point, point))
            }
        }
        return entries.map { entry in
            known.last { $0.point == entry.mountPoint }?.place ?? entry.mountPoint
        }
    }

    /// Throws where a walk does not start the engine for this: boot loaders are not worth it.
    private func pass(_ entry: FstabEntry) throws(GloveboxError) {
        guard entry.isBootPartition, opening.choice == .auto, opening.engine?.isRunning == false,
            let volume = volume(named: entry.device), volume.needsEngine
        else { return }
        do throws(GloveboxError) { _ = try volume.nativeFileSystem() } catch {
            throw describe(error, entry)
        }
    }

    private func describe(_ error: GloveboxError, _ entry: FstabEntry) -> GloveboxError {
        let place = GuestName.escaped(GuestPath.joined(entry.mountPoint))
        let device = GuestName.escaped(entry.device)
        return GloveboxError(
            error.kind,
            "The guest mounts \(device) on \(place): \(error.message)",
            advice: error.advice
        )
    }

    private func mounted(
        _ entry: FstabEntry,
        at point: [[UInt8]]
    ) throws(GloveboxError) -> GuestTree.Mount {
        let place = GuestName.escaped(GuestPath.joined(entry.mountPoint))
        let device = GuestName.escaped(entry.device)
        let advice = "Name the volume, DISK:VOLUME:/path; `glovebox disks` lists them."
        guard let volume = volume(named: entry.device) else {
            throw GloveboxError(
                .notFound,
                "The guest mounts \(device) on \(place), and no volume here answers to that.",
                advice: advice
            )
        }
        do throws(GloveboxError) {
            let whole = try volume.fileSystem()
            guard let part = Subvolumes.part(entry.subvolume ?? [], of: whole) else {
                throw GloveboxError(.notFound, "\(volume.name) has no such subvolume.")
            }
            return GuestTree.Mount(point: point, volume: volume.name, fileSystem: part)
        } catch {
            throw describe(error, entry)
        }
    }

    private func obscured(_ failure: GloveboxError) -> GloveboxError {
        GloveboxError(
            failure.kind,
            "Which file system is the guest's root is not clear, since one that may be it cannot be "
                + "read: \(failure.message)",
            advice: "Name the volume, DISK:VOLUME:/path; `glovebox disks` lists them."
        )
    }

    private func ambiguous(_ candidates: [Candidate]) -> GloveboxError {
        guard !candidates.isEmpty else {
            return GloveboxError(
                .unreadable,
                "None of the volumes holds a file system that is read natively.",
                advice: "`glovebox disks` shows what there is."
            )
        }
        let names = candidates.map { "\($0.volume.name):/" }.joined(separator: ", ")
        return GloveboxError(
            .notFound,
            "Which file system is the guest's root is not clear.",
            advice: "Name the volume in the path, one of \(names)"
        )
    }

    private func fstab(
        of fileSystem: any FileSystem,
        _ volume: Volume
    ) throws(GloveboxError) -> [UInt8]? {
        let root = GuestTree.Mount(point: [], volume: volume.name, fileSystem: fileSystem)
        let tree = GuestTree(root: root)
        guard let file = try? tree.resolve([UInt8]("/etc/fstab".utf8)) else { return nil }
        return try reading("\(volume.name):/etc/fstab") { () throws(DiskError) -> [UInt8]? in
            let inode = try file.fileSystem.inode(file.inode)
            guard inode.type == .regular else { return nil }
            return try file.fileSystem.content(of: file.inode, limit: Fstab.byteCountMax)
        }
    }

    private static func isOnDisk(_ entry: FstabEntry) -> Bool {
        let type = String(decoding: entry.type, as: UTF8.self)
        let device = String(decoding: entry.device, as: UTF8.self)
        guard device.hasPrefix("/dev/") || identifiers.contains(where: { device.hasPrefix($0.0) })
        else { return false }
        return !["swap", "tmpfs", "proc", "sysfs", "devpts", "nfs", "nfs4", "none", "cgroup2"]
            .contains(type)
    }
}
