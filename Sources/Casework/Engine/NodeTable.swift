internal import DiskFormats
internal import EngineProtocol

/// Which file each inode number means, while a file system of the engine is open.
///
/// The appliance knows files by path, so this keeps for each number the directory and the name under
/// which it was first seen. A number once given means the same file ever after; where the table is
/// full, new files are refused rather than old ones forgotten.
struct NodeTable {
    /// How a file system's files get their numbers.
    enum Numbering: Equatable {
        /// By the file's own inode number; other devices than the root's (subvolumes of btrfs) have
        /// numbers apart.
        case inodes
        /// By directory and name: the kernel gives FAT's files a number for as long as it has them
        /// in memory.
        case names
    }

    private struct Node {
        let parent: UInt64
        let name: [UInt8]
    }

    private struct Name: Hashable {
        let parent: UInt64
        let name: [UInt8]
    }

    private let numbering: Numbering
    private let rootDevice: UInt64
    private var nodes: [UInt64: Node] = [:]
    private var byName: [Name: UInt64] = [:]
    private var devices: [UInt64: UInt64] = [:]
    /// The number of the root directory.
    let root: UInt64

    /// About 100 bytes each.
    static let nodesMax = 16_000_000
    /// The kernel of the appliance takes no longer path.
    static let pathBytesMax = WorkerRequest.pathBytesMax - 64

    init(_ numbering: Numbering, root: WorkerStatus) {
        self.numbering = numbering
        self.rootDevice = root.device
        self.root = numbering == .names ? 1 : root.inode.number
    }

    /// The number of the file `name` in `parent`, of which `status` is what lstat says.
    mutating func number(
        of status: WorkerStatus,
        name: [UInt8],
        in parent: UInt64
    ) throws(DiskError) -> UInt64 {
        let number: UInt64
        switch numbering {
        case .inodes:
            number = try self.number(of: status)
            if number == root || nodes[number] != nil { return number }
        case .names:
            let key = Name(parent: parent, name: name)
            if let known = byName[key] { return known }
            number = UInt64(nodes.count) + 2
            byName[key] = number
        }
        guard nodes.count < Self.nodesMax else {
            throw DiskError(
                .refused,
                "file system",
                "more than \(Self.nodesMax) files; take out parts of the tree"
            )
        }
        nodes[number] = Node(parent: parent, name: name)
        return number
    }

    /// Numbers of the root's device as they are; of others with a mark and the device above them.
    private mutating func number(of status: WorkerStatus) throws(DiskError) -> UInt64 {
        let number = status.inode.number
        if status.device == rootDevice {
            guard number >> 63 == 0 else {
                throw DiskError(.outOfRange, "inode \(number)", "the number is too large")
            }
            return number
        }
        let index = devices[status.device] ?? UInt64(devices.count)
        devices[status.device] = index
        guard number >> 44 == 0, index >> 19 == 0 else {
            throw DiskError(.outOfRange, "inode \(number)", "the number is too large")
        }
        return 1 << 63 | index << 44 | number
    }

    /// The path of a file, from the root of its file system on.
    func path(of number: UInt64) throws(DiskError) -> [UInt8] {
        var names: [[UInt8]] = []
        var count = 0
        var current = number
        while current != root {
            guard let node = nodes[current] else {
                throw DiskError(.outOfRange, "inode \(number)", "no name has led to it")
            }
            names.append(node.name)
            count += node.name.count + 1
            guard count <= Self.pathBytesMax else {
                throw DiskError(
                    .unsupported,
                    "inode \(number)",
                    "its path is longer than \(Self.pathBytesMax) bytes, which only the native "
                        + "reader opens"
                )
            }
            current = node.parent
        }
        guard !names.isEmpty else { return [UInt8(ascii: "/")] }
        var path: [UInt8] = []
        path.reserveCapacity(count)
        for name in names.reversed() {
            path.append(UInt8(ascii: "/"))
            path.append(contentsOf: name)
        }
        return path
    }
}
