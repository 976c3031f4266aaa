internal import DiskFormats
internal import EngineProtocol

/// Mounts one volume read-only, and finds out what that did.
struct Mounting {
    let device: String
    let point: String
    /// Whether a journal that has to be replayed is: into the throw-away layer.
    let replay: Bool

    struct Mounted {
        var summary: FileSystemSummary
        var root: WorkerStatus
        var hasAttributes: Bool
    }

    /// The options of each type: names as UTF-8, no second look at identifiers (a copy of a disk has
    /// those of the disk), the whole of btrfs whatever its default subvolume is.
    private static let options: [String: (always: String, withoutReplay: String?)] = [
        "ext2": ("ro", nil),
        "ext3": ("ro", "noload"),
        "ext4": ("ro", "noload"),
        "xfs": ("ro,nouuid", "norecovery"),
        "btrfs": ("ro,subvolid=5", "rescue=nologreplay"),
        "ntfs": ("ro", nil),
        "vfat": ("ro,utf8,tz=UTC", nil),
        "exfat": ("ro", nil),
        "iso9660": ("ro,iocharset=utf8", nil),
        "udf": ("ro,iocharset=utf8", nil),
        "squashfs": ("ro", nil),
        "hfsplus": ("ro", nil),
        "f2fs": ("ro", nil),
        "jfs": ("ro", nil),
        "reiserfs": ("ro", nil),
        "erofs": ("ro", nil),
    ]

    func run(_ appliance: Appliance) throws(WorkerFailure) -> Mounted {
        let tags = appliance.handle.signature(of: device)
        guard let type = tags["TYPE"].map({ String(decoding: $0, as: UTF8.self) }) else {
            throw WorkerFailure(.disk, "nothing is recognised on it")
        }
        guard let options = Self.options[type] else {
            throw WorkerFailure(.disk, "it holds \(type), which is no file system that is opened")
        }
        var list = options.always
        if !replay, let more = options.withoutReplay { list += ",\(more)" }
        do throws(GuestfsError) {
            let hasJournal = replay && options.withoutReplay != nil
            let before = hasJournal ? try appliance.handle.kernelMessages().count : 0
            try appliance.handle.makeMountPoint(point)
            try appliance.handle.mount(device, type: type, options: list, at: point)
            let said = hasJournal ? try appliance.handle.kernelMessages().dropFirst(before) : []
            var summary = try appliance.handle.usage(point)
            summary.type = type
            summary.label = tags["LABEL"] ?? []
            summary.uuid = String(decoding: tags["UUID"] ?? [], as: UTF8.self)
            summary.journal = journal(type, Array(said), appliance)
            let root = [UInt8](point.utf8)
            return Mounted(
                summary: summary,
                root: try appliance.handle.status(root),
                hasAttributes: try appliance.handle.attributes(root) != nil
            )
        } catch {
            throw WorkerFailure(.disk, error.message)
        }
    }

    /// What the kernel says when it has replayed a journal.
    private static let replayed = [
        "recovery complete", "Starting recovery", "start tree-log replay",
    ]

    private func journal(
        _ type: String,
        _ said: [UInt8],
        _ appliance: Appliance
    ) -> FileSystemSummary.JournalState {
        if replay {
            let text = String(decoding: said, as: UTF8.self)
            return Self.replayed.contains(where: text.contains) ? .replayedByKernel : .clean
        }
        switch type {
        case "ext3", "ext4": return extNeedsReplay(appliance) ? .ignored : .clean
        // XFS does not say in one place whether its log is empty.
        case "xfs": return .ignored
        case "btrfs": return btrfsHasLog(appliance) ? .ignored : .clean
        default: return .clean
        }
    }

    /// EXT4_FEATURE_INCOMPAT_RECOVER in s_feature_incompat (Documentation/filesystems/ext4).
    private func extNeedsReplay(_ appliance: Appliance) -> Bool {
        let bytes = try? appliance.handle.read(device: device, at: 1024 + 0x60, count: 4)
        return bytes.map { $0.count == 4 && $0[0] & 4 != 0 } ?? true
    }

    /// log_root of the superblock (btrfs on-disk format): not zero while there is a tree log.
    private func btrfsHasLog(_ appliance: Appliance) -> Bool {
        let bytes = try? appliance.handle.read(device: device, at: 0x1_0000 + 0x60, count: 8)
        return bytes.map { $0.contains { $0 != 0 } } ?? true
    }
}
