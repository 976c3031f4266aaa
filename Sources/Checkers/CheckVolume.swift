/// A volume that is to be checked: its name, what it holds, and where it lies.
public struct CheckVolume: Sendable, Equatable {
    /// The name, as in guest paths: `disk:p1`.
    public var name: String
    /// What it holds, in blkid's words.
    public var type: String
    /// Which of the disks it is on, counted from 0 in the order in which they are exported.
    public var disk: Int
    /// Where on the disk it begins, in bytes.
    public var start: UInt64
    /// How long it is, in bytes.
    public var byteCount: UInt64

    /// Creates a volume.
    public init(name: String, type: String, disk: Int, start: UInt64, byteCount: UInt64) {
        self.name = name
        self.type = type
        self.disk = disk
        self.start = start
        self.byteCount = byteCount
    }
}

/// Whoever can check volumes: the engine, by its worker.
public protocol VolumeChecking {
    /// Checks each volume, and where `rehearse` is set tries the repair of the damaged ones.
    ///
    /// The reports come in the order of the volumes, one for each. Throws where nothing at all could
    /// be checked.
    func check(
        _ volumes: [CheckVolume],
        rehearse: Bool
    ) throws(CheckShellError) -> [CheckReport]
}
