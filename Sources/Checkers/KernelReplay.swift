/// What came of letting the kernel replay a log by mounting.
enum KernelReplay: Equatable {
    /// It mounted and unmounted.
    case done
    /// The file system has features that this kernel does not know.
    case tooNew(String)
    /// The kernel cannot mount what is meant for larger pages; its log may be sound.
    case blockSize(String)
    /// The kernel found the file system or its log damaged.
    case damaged(String)
    /// The kernel would not, and did not say that the file system is to blame.
    case refused(String)

    /// Judges what ``CheckCommand/mountAndUnmount(_:)`` said.
    init(_ step: CheckStep) {
        guard step.code != 0 else {
            self = .done
            return
        }
        let lines = step.lines.map { String($0) }
        func first(_ phrases: [String]) -> String? {
            lines.first { line in phrases.contains { line.contains($0) } }
        }
        if let line = first(Self.unknownFeatures) {
            self = .tooNew(line.withoutTime)
        } else if let line = first(["bad block size", "cannot mount because of block size"]) {
            self = .blockSize(line.withoutTime)
        } else if let line = first(Self.damage) {
            self = .damaged(line.withoutTime)
        } else {
            self = .refused(lines.last { $0.hasPrefix("[") }?.withoutTime ?? lines.last ?? "")
        }
    }

    /// fs/ext4/super.c, fs/xfs/libxfs/xfs_sb.c, fs/btrfs/disk-io.c.
    private static let unknownFeatures = [
        "unsupported optional features", "unknown incompatible features",
        "unknown read-only compatible features", "cannot be safely mounted by this kernel",
    ]

    private static let damage = [
        "orruption", "CRC error", "checksum error", "checksum verify failed", "checksum mismatch",
        "Invalid superblock magic", "error loading journal", "Could not load journal",
        "recovery failed", "error -117", "error 117", "Structure needs cleaning",
        "cannot mount; probably corrupted",
    ]
}

extension String {
    /// A line of the kernel without its time.
    var withoutTime: String {
        guard hasPrefix("["), let end = firstIndex(of: "]") else { return self }
        return String(self[index(after: end)...].drop(while: \.isWhitespace))
    }
}
