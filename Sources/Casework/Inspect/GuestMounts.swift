internal import DiskFormats

/// Finds a guest's root file system among its volumes, and what its fstab mounts into it.
package struct GuestMounts {
    private let disks: [Disk]

    package init(_ disks: [Disk]) { self.disks = disks }

    /// The guest's tree.
    ///
    /// The root is the only volume with an `/etc/fstab`; among several, the one whose fstab names
    /// itself as `/`; with none, the only readable file system. Anything else is refused as
    /// ambiguous.
    package func tree() throws(GloveboxError) -> GuestTree {
        let candidates = try candidates()
        guard let root = choose(from: candidates) else { throw ambiguous(candidates) }
        var mounts = [
            GuestTree.Mount(point: [], volume: root.volume.name, fileSystem: root.fileSystem)
        ]
        var missing: [GuestTree.MissingMount] = []
        for entry in root.fstab where !entry.mountPoint.isEmpty && Self.isOnDisk(entry) {
            let device = GuestName.escaped(entry.device)
            guard let volume = volume(named: entry.device) else {
                let reason = "no volume answers to \(device)."
                missing.append(GuestTree.MissingMount(point: entry.mountPoint, reason: reason))
                continue
            }
            do throws(GloveboxError) {
                let fileSystem = try volume.fileSystem()
                mounts.append(
                    GuestTree.Mount(
                        point: entry.mountPoint,
                        volume: volume.name,
                        fileSystem: fileSystem
                    )
                )
            } catch {
                let reason = "\(device): \(error.message)"
                missing.append(GuestTree.MissingMount(point: entry.mountPoint, reason: reason))
            }
        }
        return GuestTree(mounts: mounts, missing: missing)
    }

    private struct Candidate {
        let volume: Volume
        let fileSystem: any FileSystem
        /// Empty where there is no fstab.
        let fstab: [FstabEntry]
        let hasFstab: Bool
    }

    private func candidates() throws(GloveboxError) -> [Candidate] {
        var found: [Candidate] = []
        var failures: [GloveboxError] = []
        for volume in disks.flatMap(\.volumes) {
            do throws(GloveboxError) {
                let fileSystem = try volume.fileSystem()
                let text = try fstab(of: fileSystem, volume)
                found.append(
                    Candidate(
                        volume: volume,
                        fileSystem: fileSystem,
                        fstab: text.map(Fstab.parse) ?? [],
                        hasFstab: text != nil
                    )
                )
            } catch {
                failures.append(error)
            }
        }
        // With one volume in all, its own error says more than "no file system found".
        if found.isEmpty, failures.count == 1, let only = failures.first { throw only }
        return found
    }

    private func choose(from candidates: [Candidate]) -> Candidate? {
        let withFstab = candidates.filter(\.hasFstab)
        if withFstab.count == 1 { return withFstab.first }
        if withFstab.isEmpty { return candidates.count == 1 ? candidates.first : nil }
        let selfNaming = withFstab.filter { candidate in
            candidate.fstab.contains {
                $0.mountPoint.isEmpty && volume(named: $0.device) === candidate.volume
            }
        }
        return selfNaming.count == 1 ? selfNaming.first : nil
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
        let mount = GuestTree.Mount(point: [], volume: volume.name, fileSystem: fileSystem)
        let tree = GuestTree(mounts: [mount])
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

    /// The volume that an fstab means, by identifier, or by the order in which Nova adds disks.
    private func volume(named device: [UInt8]) -> Volume? {
        let text = String(decoding: device, as: UTF8.self)
        for (prefix, key) in Self.identifiers {
            for prefix in [prefix, "/dev/disk/by-" + prefix.dropLast().lowercased() + "/"]
            where text.hasPrefix(prefix) {
                let wanted = String(text.dropFirst(prefix.count))
                let matching = disks.flatMap(\.volumes).filter { key($0, wanted) }
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
            case let index = Int(letter) - Int(UInt8(ascii: "a")), disks.indices.contains(index)
        else { return nil }
        let digits = name.dropFirst(prefix.count + 1)
        return disks[index].volumes.first { $0.name.volume == (digits.isEmpty ? "" : "p\(digits)") }
    }
}
