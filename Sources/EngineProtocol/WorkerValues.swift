package import DiskFormats

/// A disk as the worker gets it: an export, never a file.
package struct WorkerDisk: Equatable, Sendable {
    /// The name by which volumes on it are called, such as `disk.local`.
    package var name: String
    /// The path of the socket where qemu-nbd serves it, read-only.
    package var socket: String
    /// Its size in bytes; another size in the appliance is refused.
    package var byteCount: UInt64

    package init(name: String, socket: String, byteCount: UInt64) {
        self.name = name
        self.socket = socket
        self.byteCount = byteCount
    }
}

/// How the appliance is to be started.
package struct WorkerLaunch: Equatable, Sendable {
    /// All disks of the instance, the root disk first.
    package var disks: [WorkerDisk]
    /// The private directory for sockets and the throw-away layers.
    package var directory: String
    /// Memory of the appliance in MiB; 0 leaves it to libguestfs.
    package var memoryMiB: UInt32
    /// False leaves KVM out from the start.
    package var mayUseKVM: Bool

    package init(
        disks: [WorkerDisk],
        directory: String,
        memoryMiB: UInt32 = 0,
        mayUseKVM: Bool = true
    ) {
        self.disks = disks
        self.directory = directory
        self.memoryMiB = memoryMiB
        self.mayUseKVM = mayUseKVM
    }
}

/// A volume that the appliance sees.
package struct WorkerVolume: Equatable, Sendable {
    /// The disk that it is on; the first of several.
    package var disk: String
    /// Its name there: `` (the whole disk), `p1`, `vg/root`, `md127`, `p2.luks`.
    package var name: String
    /// The type as blkid names it, or ``partitionTable``; empty where nothing is recognised.
    package var type: String
    /// The label; empty where there is none.
    package var label: [UInt8]
    /// The identifier; empty where there is none.
    package var uuid: String
    /// Size in bytes; 0 where the appliance cannot open it, since parts of it are missing.
    package var byteCount: UInt64
    /// The volumes that it lies on, such as `disk:p2`.
    package var parts: [String]

    /// The type of a volume that has partitions of its own.
    package static let partitionTable = "partition_table"

    /// More parts than any group or array has.
    package static let partsMax = 4_096

    package init(
        disk: String,
        name: String,
        type: String = "",
        label: [UInt8] = [],
        uuid: String = "",
        byteCount: UInt64 = 0,
        parts: [String] = []
    ) {
        self.disk = disk
        self.name = name
        self.type = type
        self.label = label
        self.uuid = uuid
        self.byteCount = byteCount
        self.parts = parts
    }
}

/// What stat says of a file in the appliance.
package struct WorkerStatus: Equatable, Sendable {
    /// The device that the file is on: subvolumes of btrfs have one each.
    package var device: UInt64
    /// What the file system says; `inode.number` is the number on that device.
    package var inode: Inode

    package init(device: UInt64, inode: Inode) {
        self.device = device
        self.inode = inode
    }
}

/// A name in a directory of the appliance.
package struct WorkerEntry: Equatable, Sendable {
    /// The name's bytes.
    package var name: [UInt8]
    /// What it leads to; nil where that cannot be said.
    package var status: WorkerStatus?

    package init(name: [UInt8], status: WorkerStatus?) {
        self.name = name
        self.status = status
    }
}

/// A file system that is open.
package struct WorkerMount: Equatable, Sendable {
    /// How requests name it.
    package var number: UInt32
    /// What is known of it as a whole.
    package var summary: FileSystemSummary
    /// Its root directory.
    package var root: WorkerStatus
    /// Whether it has extended attributes at all.
    package var hasAttributes: Bool

    package init(
        number: UInt32,
        summary: FileSystemSummary,
        root: WorkerStatus,
        hasAttributes: Bool
    ) {
        self.number = number
        self.summary = summary
        self.root = root
        self.hasAttributes = hasAttributes
    }
}

/// Why the worker could not do something.
package struct WorkerFailure: Error, Equatable, Sendable {
    /// What kind of trouble it is.
    package enum Kind: UInt8, Sendable {
        /// The appliance could not be started, or it is gone.
        case appliance = 1
        /// The file system, or what lies under it, answered with an error.
        case disk = 2
        /// There is no such volume.
        case noVolume = 3
        /// There is no such name.
        case noEntry = 4
        /// The key opens nothing.
        case wrongKey = 5
        /// The other side of the channel is gone; never sent.
        case channel = 7
        /// The request makes no sense.
        case request = 6
    }

    package var kind: Kind
    /// What happened.
    package var message: String

    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }
}
