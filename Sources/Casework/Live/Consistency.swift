/// How what was read belongs together: as one moment of the disks, and which.
public enum Consistency: String, Sendable, CaseIterable {
    /// Nobody wrote to the disks: the instance is off, and QEMU's image locks are held.
    case offline
    /// The instance was suspended by us for as long as its disks were read.
    case suspended
    /// The instance was suspended for a moment, and its disks were read as they were then.
    case pointInTime = "point-in-time"
    /// The instance was paused by somebody else, and stayed so while its disks were read.
    case asFoundPaused = "as-found-paused"

    /// Whether the instance was there and could have gone on.
    package var isLive: Bool { self != .offline }
}
