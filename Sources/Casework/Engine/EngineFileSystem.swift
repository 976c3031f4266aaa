internal import DiskFormats
internal import EngineProtocol
internal import Synchronization

/// A file system that the appliance's kernel reads.
///
/// Names, metadata and bytes are what that kernel says. What it does not say is not invented: where
/// content stands on the disk, and which of it is holes.
final class EngineFileSystem: FileSystem {
    let summary: FileSystemSummary
    let rootInode: UInt64
    private let content: EngineContent
    private let client: WorkerClient
    private let mount: WorkerMount
    private let files: EngineFiles

    var volume: any BlockSource { content }
    var knowsExtents: Bool { false }

    init(_ client: WorkerClient, _ mount: WorkerMount) {
        let files = EngineFiles(mount)
        let number = mount.number
        self.client = client
        self.mount = mount
        self.files = files
        self.summary = mount.summary
        self.rootInode = files.root
        self.content = EngineContent { file, offset, count throws(DiskError) in
            let path = try files.path(of: file)
            return try asking("inode \(file)", at: offset) { () throws(WorkerFailure) in
                try client.read(number, path, at: offset, count: count)
            }
        }
    }

    func inode(_ number: UInt64) throws(DiskError) -> Inode {
        if let known = files.inode(number) { return known }
        let path = try files.path(of: number)
        let status = try asking("inode \(number)") { () throws(WorkerFailure) in
            try client.status(mount.number, path)
        }
        return files.remember(status, as: number, mount)
    }

    func entries(
        of directory: UInt64,
        heldBytesMax: Int
    ) throws(DiskError) -> DirectoryListing {
        let path = try files.path(of: directory)
        let object = "directory with inode \(directory)"
        let found = try asking(object) { () throws(WorkerFailure) in
            try client.entries(mount.number, path, heldBytesMax: heldBytesMax)
        }
        var listing = DirectoryListing()
        if !found.areAll {
            let detail = "has more names than may be held in memory; not all are listed"
            listing.problems.append(DiskError(.unsupported, object, detail))
        }
        for entry in found.entries {
            guard let status = entry.status else {
                let name = GuestName.escaped(entry.name)
                listing.problems.append(
                    DiskError(
                        .unreadable,
                        object,
                        "the appliance cannot look at \(name)"
                    )
                )
                continue
            }
            let number = try files.number(of: status, entry.name, in: directory)
            _ = files.remember(status, as: number, mount)
            listing.entries.append(
                DirectoryEntry(name: entry.name, inode: number, type: status.inode.type)
            )
        }
        return listing
    }

    func lookup(_ name: [UInt8], in directory: UInt64) throws(DiskError) -> UInt64? {
        guard !name.isEmpty, !name.contains(0), !name.contains(UInt8(ascii: "/")),
            name.count <= 255,
            !name.elementsEqual(".".utf8), !name.elementsEqual("..".utf8)
        else { return nil }
        let parent = try files.path(of: directory)
        let path = parent.count == 1 ? parent + name : parent + [UInt8(ascii: "/")] + name
        let status: WorkerStatus
        do throws(WorkerFailure) { status = try client.status(mount.number, path) } catch {
            if error.kind == .noEntry { return nil }
            throw DiskError(error, "directory with inode \(directory)")
        }
        let number = try files.number(of: status, name, in: directory)
        _ = files.remember(status, as: number, mount)
        return number
    }

    func linkTarget(of number: UInt64) throws(DiskError) -> [UInt8] {
        let path = try files.path(of: number)
        return try asking("inode \(number)") { () throws(WorkerFailure) in
            try client.linkTarget(mount.number, path)
        }
    }

    /// One run of data as long as the file: the appliance says nothing of holes.
    func extents(of number: UInt64, in range: Range<UInt64>) throws(DiskError) -> [FileExtent] {
        let inode = try inode(number)
        let end = min(range.upperBound, inode.size)
        guard inode.type == .regular, range.lowerBound < end else { return [] }
        let place = try content.place(of: number, size: inode.size)
        return [
            FileExtent(
                fileOffset: range.lowerBound,
                length: end - range.lowerBound,
                content: .volume(offset: place + range.lowerBound)
            )
        ]
    }

    func extendedAttributes(of number: UInt64) throws(DiskError) -> [ExtendedAttribute] {
        guard mount.hasAttributes else { return [] }
        let path = try files.path(of: number)
        return try asking("inode \(number)") { () throws(WorkerFailure) in
            try client.attributes(mount.number, path)
        }
    }
}

/// Asks the worker, and says of its errors what was asked about.
private func asking<Value>(
    _ structure: @autoclosure () -> String,
    at offset: UInt64? = nil,
    _ body: () throws(WorkerFailure) -> Value
) throws(DiskError) -> Value {
    do throws(WorkerFailure) { return try body() } catch {
        throw DiskError(error, structure(), at: offset)
    }
}

extension DiskError {
    fileprivate init(_ failure: WorkerFailure, _ structure: String, at offset: UInt64? = nil) {
        let text = GuestName.escaped([UInt8](failure.message.utf8))
        self.init(.unreadable, structure, at: offset, text)
    }
}

/// What is known of the files of one file system; shared with what reads their contents.
private final class EngineFiles: Sendable {
    let root: UInt64
    private let table: Mutex<NodeTable>
    private let known = Mutex(KnownInodes())

    /// Types whose files have no inode numbers of their own.
    private static let withoutNumbers: [String] = ["vfat", "msdos", "exfat"]

    init(_ mount: WorkerMount) {
        let isWithout = Self.withoutNumbers.contains(mount.summary.type)
        let table = NodeTable(isWithout ? .names : .inodes, root: mount.root)
        self.root = table.root
        self.table = Mutex(table)
        _ = remember(mount.root, as: table.root, mount)
    }

    func path(of number: UInt64) throws(DiskError) -> [UInt8] {
        try result { (table) throws(DiskError) in try table.path(of: number) }
    }

    func number(
        of status: WorkerStatus,
        _ name: [UInt8],
        in parent: UInt64
    ) throws(DiskError) -> UInt64 {
        try result { (table) throws(DiskError) in
            try table.number(of: status, name: name, in: parent)
        }
    }

    private func result<Value: Sendable>(
        _ body: (inout NodeTable) throws(DiskError) -> Value
    ) throws(DiskError) -> Value {
        let result = table.withLock { table in
            Result { () throws(DiskError) in try body(&table) }
        }
        return try result.get()
    }

    func inode(_ number: UInt64) -> Inode? { known.withLock { $0.inodes[number] } }

    /// Keeps what stat said, since whoever lists a directory asks for its inodes next.
    func remember(_ status: WorkerStatus, as number: UInt64, _ mount: WorkerMount) -> Inode {
        var inode = status.inode
        inode.number = number
        inode.mayHaveAttributes = mount.hasAttributes
        known.withLock { $0.add(inode) }
        return inode
    }
}

/// The inodes that were seen last, as many as a walk reads ahead.
private struct KnownInodes {
    private static let countMax = 131_072

    private(set) var inodes: [UInt64: Inode] = [:]
    private var order: [UInt64] = []
    private var oldest = 0

    mutating func add(_ inode: Inode) {
        guard inodes.updateValue(inode, forKey: inode.number) == nil else { return }
        guard order.count == Self.countMax else { return order.append(inode.number) }
        inodes[order[oldest]] = nil
        order[oldest] = inode.number
        oldest = (oldest + 1) % Self.countMax
    }
}
