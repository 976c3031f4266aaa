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
    /// What it is called on its disk where it lies within other volumes, such as `vg/root`; nil for
    /// a partition or a whole disk, which is found by its place.
    public var inner: String?
    /// The identifier of its file system, where that is known.
    public var uuid: String

    /// Creates a volume.
    public init(
        name: String,
        type: String,
        disk: Int,
        start: UInt64,
        byteCount: UInt64,
        inner: String? = nil,
        uuid: String = ""
    ) {
        self.name = name
        self.type = type
        self.disk = disk
        self.start = start
        self.byteCount = byteCount
        self.inner = inner
        self.uuid = uuid
    }
}

/// A volume that lies within others: a logical volume, an array, what an encrypted volume holds.
public struct InnerVolume: Sendable, Equatable {
    /// The volume, as it is checked; its size is 0 where parts of it are missing.
    public var volume: CheckVolume
    /// The names of the volumes that it lies on.
    public var parts: [String]

    /// Creates one.
    public init(_ volume: CheckVolume, parts: [String]) {
        self.volume = volume
        self.parts = parts
    }
}

/// Whoever can check volumes: the engine, by its worker.
public protocol VolumeChecking {
    /// The volumes that lie within others on these disks, encrypted ones opened by the keys that
    /// were given; with `asking`, a person is asked for the others.
    func innerVolumes(asking: Bool) throws(CheckShellError) -> [InnerVolume]
    /// Checks each volume, and where `rehearse` is set tries the repair of the damaged ones.
    ///
    /// The reports come in the order of the volumes, one for each. Throws where nothing at all could
    /// be checked.
    func check(
        _ volumes: [CheckVolume],
        rehearse: Bool
    ) throws(CheckShellError) -> [CheckReport]
}

extension VolumeChecking {
    /// None, where whoever checks sees no volumes within others.
    public func innerVolumes(asking: Bool) throws(CheckShellError) -> [InnerVolume] { [] }
}
