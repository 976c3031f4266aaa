internal import DiskFormats

/// Directories or symbolic links that are finished at the end, held in as few bytes as they need.
///
/// A disk can name millions of them, so nothing here grows by doubling, and none has an array of its
/// own.
struct HeldItems {
    private struct Record {
        let number: UInt64
        let modified: Timestamp
        let root: UInt32
        let userID: UInt32
        let groupID: UInt32
        let pathCount: UInt32
        let targetCount: UInt32
        /// Where its path begins, and after that its target, in the bytes of the chunk.
        let start: UInt32
        let permissions: UInt16
        let type: FileType
        let mayHaveAttributes: Bool
    }

    private struct Chunk {
        var records: [Record] = []
        var bytes: [UInt8] = []
    }

    private static let chunkRecords = 4_096
    private static let chunkBytes = 1 << 20

    private var full: [Chunk] = []
    private var last = Chunk()

    /// What an item takes.
    static func byteCount(of item: PlannedItem) -> Int {
        MemoryLayout<Record>.stride + item.path.count + item.target.count
    }

    mutating func append(_ item: PlannedItem) {
        if last.records.count == Self.chunkRecords || last.bytes.count >= Self.chunkBytes {
            // A copy has no room to spare.
            full.append(Chunk(records: last.records, bytes: last.bytes.map(\.self)))
            last = Chunk()
        }
        if last.records.isEmpty { last.records.reserveCapacity(Self.chunkRecords) }
        let inode = item.inode
        last.records.append(
            Record(
                number: inode.number,
                modified: inode.modified,
                root: UInt32(truncatingIfNeeded: item.root),
                userID: inode.userID,
                groupID: inode.groupID,
                pathCount: UInt32(truncatingIfNeeded: item.path.count),
                targetCount: UInt32(truncatingIfNeeded: item.target.count),
                start: UInt32(truncatingIfNeeded: last.bytes.count),
                permissions: inode.permissions,
                type: inode.type,
                mayHaveAttributes: inode.mayHaveAttributes
            )
        )
        last.bytes += item.path
        last.bytes += item.target
    }

    /// Calls `body` with each item, in the order in which they came, while it returns true.
    func forEach(_ body: (PlannedItem) -> Bool) {
        for chunk in full + [last] {
            for record in chunk.records where !body(item(record, chunk)) { return }
        }
    }

    /// Calls `body` with each item, the latest first.
    func forEachReversed(_ body: (PlannedItem) -> Void) {
        for chunk in [last] + full.reversed() {
            for record in chunk.records.reversed() { body(item(record, chunk)) }
        }
    }

    private func item(_ record: Record, _ chunk: Chunk) -> PlannedItem {
        let path = Int(record.start)..<(Int(record.start) + Int(record.pathCount))
        var inode = Inode(
            number: record.number,
            type: record.type,
            permissions: record.permissions,
            userID: record.userID,
            groupID: record.groupID,
            modified: record.modified
        )
        inode.mayHaveAttributes = record.mayHaveAttributes
        var item = PlannedItem(root: Int(record.root), path: Array(chunk.bytes[path]), inode: inode)
        let end = path.upperBound + Int(record.targetCount)
        item.target = Array(chunk.bytes[path.upperBound..<end])
        return item
    }
}
