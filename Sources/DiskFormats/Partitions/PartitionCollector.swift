/// Gathers partitions, and makes sure of what ``PartitionTable`` promises of them.
struct PartitionCollector {
    /// Size of the disk in bytes.
    let diskByteCount: UInt64
    /// The unit of the table's addresses in bytes.
    let sectorSize: UInt64
    private(set) var partitions: [Partition] = []
    var problems: [DiskError] = []

    init(_ disk: any BlockSource, sectorSize: Int) {
        self.diskByteCount = disk.byteCount
        self.sectorSize = UInt64(sectorSize)
    }

    /// Adds `partition`, which begins at sector `first` and has `sectors` sectors.
    ///
    /// One that begins past the end of the disk is left out, one that ends there is cut: both are
    /// reported at `entry`, the byte offset of the entry that names it.
    mutating func add(_ partition: Partition, first: UInt64, sectors: UInt64, entry: UInt64) {
        func report(_ detail: String) {
            let structure = "partition \(partition.number)"
            problems.append(DiskError(.outOfRange, structure, at: entry, detail))
        }
        let start = first.multipliedReportingOverflow(by: sectorSize)
        guard !start.overflow, start.partialValue < diskByteCount else {
            report("left out: sector \(first) is past the end of the disk at \(diskByteCount)")
            return
        }
        let room = diskByteCount - start.partialValue
        let size = sectors.multipliedReportingOverflow(by: sectorSize)
        var placed = partition
        placed.start = start.partialValue
        placed.byteCount = min(room, size.partialValue)
        if size.overflow || size.partialValue > room {
            placed.byteCount = room
            report("cut to \(room) bytes: \(sectors) sectors from sector \(first) pass the end")
        }
        partitions.append(placed)
    }

    /// Reports which partitions share sectors with another one.
    mutating func reportOverlaps() {
        // Logical partitions lie in their container; it must only keep clear of the primary ones.
        reportOverlaps(among: partitions.filter { !$0.isExtendedContainer })
        guard partitions.contains(where: \.isExtendedContainer) else { return }
        reportOverlaps(among: partitions.filter { $0.number <= 4 }, \.isExtendedContainer)
    }

    private mutating func reportOverlaps(
        among candidates: [Partition],
        _ concerns: (Partition) -> Bool = { _ in true }
    ) {
        var furthest: Partition?
        for partition in candidates.sorted(by: { $0.start < $1.start }) {
            if let other = furthest, partition.start < other.end {
                if concerns(partition) || concerns(other) {
                    let names = "overlaps partition \(other.number), which ends at \(other.end)"
                    let structure = "partition \(partition.number)"
                    problems.append(DiskError(.inconsistent, structure, at: partition.start, names))
                }
                if partition.end <= other.end { continue }
            }
            furthest = partition
        }
    }
}
