internal import DiskFormats

/// Finds a guest's root file system among its volumes, and what its fstab mounts into it.
///
/// Disks are opened as they are needed: most paths need the first alone.
package struct GuestMounts: Sendable {
    private let count: Int
    private let disk: @Sendable (Int) throws(GloveboxError) -> Disk

    /// Looks at `count` disks, in the order in which Nova attaches them, opened by `disk`.
    package init(count: Int, disk: @escaping @Sendable (Int) throws(GloveboxError) -> Disk) {
        self.count = count
        self.disk = disk
    }

    /// The guest's tree.
    ///
    /// The root is the volume with an `/etc/fstab`, on the first disk, which is Nova's root disk, or
    /// else on the others; among several, the one whose fstab names itself as `/`; with none, the
    /// only readable file system. Anything else is refused as ambiguous. Volumes without a signature
    /// are searched for a lost file system only where no other is the root.
    package func tree() throws(GloveboxError) -> GuestTree {
        let first = try disk(0).volumes
        let onFirst = try candidates(among: first.filter(Self.hasSignature))
        if let root = rootByFstab(of: onFirst) { return tree(root) }
        let all = try candidates(among: volumes())
        if let root = rootByFstab(of: all) { return tree(root) }
        if all.count == 1, let only = all.first { return tree(only) }
        throw ambiguous(all)
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

    /// All volumes of the disks that can be opened.
    private func volumes() -> [Volume] {
        (0..<count).flatMap { (try? disk($0).volumes) ?? [] }
    }

    private func candidates(among volumes: [Volume]) throws(GloveboxError) -> [Candidate] {
        var found: [Candidate] = []
        var failures: [GloveboxError] = []
        for volume in volumes {
            do throws(GloveboxError) {
                let fileSystem = try volume.fileSystem()
                let text = try fstab(of: fileSystem, volume)
                found.append(
                    Candidate(
                        volume: volume,
                        fileSystem: fileSystem,
                        fstab: text.map(Fstab.parse)
                    )
                )
            } catch {
                failures.append(error)
            }
        }
        // With one volume in all, its own error says more than "no file system found".
        if volumes.count == 1, count == 1, let only = failures.first { throw only }
        return found
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

    private func tree(_ root: Candidate) -> GuestTree {
        let mount = GuestTree.Mount(
            point: [],
            volume: root.volume.name,
            fileSystem: root.fileSystem
        )
        let entries = (root.fstab ?? []).filter { !$0.mountPoint.isEmpty && Self.isOnDisk($0) }
        let points = entries.map { entry in
            GuestTree.MountPoint(entry.mountPoint) { () throws(GloveboxError) in
                try mounted(entry)
            }
        }
        return GuestTree(root: mount, mountPoints: points)
    }

    private func mounted(_ entry: FstabEntry) throws(GloveboxError) -> GuestTree.Mount {
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
            return GuestTree.Mount(
                point: entry.mountPoint,
                volume: volume.name,
                fileSystem: try volume.fileSystem()
            )
        } catch {
            throw GloveboxError(
                error.kind,
                "The guest mounts \(device) on \(place): \(error.message)",
                advice: error.advice
            )
        }
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
        return !["swap", "tmpfs", "proc", "sysfs", "devpts", "nfs", "nfs4", "none", "cgroup2"]
            .contains(type)
    }
}

// Which volume an fstab means: by identifier, or by the order in which Nova adds disks.
extension GuestMounts {
    private func volume(named device: [UInt8]) -> Volume? {
        let text = String(decoding: device, as: UTF8.self)
        for (prefix, key) in Self.identifiers {
            for prefix in [prefix, "/dev/disk/by-" + prefix.dropLast().lowercased() + "/"]
            where text.hasPrefix(prefix) {
                let wanted = String(text.dropFirst(prefix.count))
                let matching = volumes().filter { key($0, wanted) }
                return matching.count == 1 ? matching.first : nil
            }
        }
        return volume(byKernelName: text)
    }

    private static let identifiers: [(String, @Sendable (Volume, String) -> Bool)] = [
        (
            "UUID=",
            { volume, wanted in
                (try? volume.signatures())?.contains { $0.uuid.lowercased() == wanted.lowercased() }
                    == true
            }
        ),
        (
            "LABEL=",
            { volume, wanted in
                (try? volume.signatures())?.contains { $0.label == [UInt8](wanted.utf8) } == true
            }
        ),
        (
            "PARTUUID=",
            { volume, wanted in
                volume.partition.map { $0.uuid.lowercased() == wanted.lowercased() } ?? false
            }
        ),
        (
            "PARTLABEL=",
            { volume, wanted in
                volume.partition.map { $0.name == [UInt8](wanted.utf8) } ?? false
            }
        ),
    ]

    /// `/dev/vda1` is partition 1 of the first disk: Nova attaches the root disk first.
    private func volume(byKernelName name: String) -> Volume? {
        guard
            let prefix = ["/dev/vd", "/dev/sd", "/dev/xvd", "/dev/hd"].first(where: name.hasPrefix),
            let letter = name.dropFirst(prefix.count).first?.asciiValue,
            case let index = Int(letter) - Int(UInt8(ascii: "a")), (0..<count).contains(index)
        else { return nil }
        let digits = name.dropFirst(prefix.count + 1)
        let wanted = digits.isEmpty ? "" : "p\(digits)"
        return (try? disk(index))?.volumes.first { $0.name.volume == wanted }
    }
}
