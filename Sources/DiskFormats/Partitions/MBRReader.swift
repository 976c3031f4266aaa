/// Reads the primary and logical partitions that a master boot record leads to.
struct MBRReader {
    /// Far more than any system makes; Linux gives no numbers past 255.
    static let maximumLinks = 256

    private let disk: any BlockSource
    private let record: MasterBootRecord
    private let sectorSize: UInt64
    private var collector: PartitionCollector
    private var nextLogical = 5
    private var links = 0

    init(_ disk: any BlockSource, _ record: MasterBootRecord) {
        let sectorSize = Self.sectorSize(of: disk, record)
        self.disk = disk
        self.record = record
        self.sectorSize = UInt64(sectorSize)
        self.collector = PartitionCollector(disk, sectorSize: sectorSize)
    }

    /// Reads the primary partitions, then the logical ones in the order of their chain.
    consuming func read() -> PartitionTable {
        for (index, entry) in record.entries.enumerated() where entry.sectors > 0 {
            add(entry, number: index + 1, first: entry.first, at: entry.offset)
        }
        for entry in record.entries where entry.sectors > 0 && entry.isExtended {
            readChain(entry)
        }
        collector.reportOverlaps()
        return PartitionTable(
            kind: .mbr,
            sectorSize: Int(sectorSize),
            identifier: record.identifier,
            partitions: collector.partitions,
            problems: collector.problems
        )
    }

    private mutating func add(
        _ entry: MasterBootRecord.Entry,
        number: Int,
        first: UInt64,
        at offset: UInt64
    ) {
        let suffix = IdentifierText.hex(UInt(number), width: 2)
        let partition = Partition(
            number: number,
            start: 0,
            byteCount: 0,
            type: String(entry.type, radix: 16),
            uuid: record.number == 0 ? "" : "\(record.identifier.dropFirst(2))-\(suffix)",
            bootable: entry.bootIndicator == 0x80,
            isExtendedContainer: entry.isExtended && number <= 4
        )
        collector.add(partition, first: first, sectors: entry.sectors, entry: offset)
    }

    /// Follows the extended boot records of `container`, each of which names one partition and the
    /// next record.
    ///
    /// Partitions are relative to their record, links to the container. Systems ignore everything
    /// after a record that is damaged; so does this, and reports it.
    private mutating func readChain(_ container: MasterBootRecord.Entry) {
        guard container.first > 0 else {
            let detail = "an extended partition that begins with the MBR itself is left out"
            return report(.outOfRange, at: container.offset, detail)
        }
        var visited: Set<UInt64> = []
        var current = container.first
        var sectors = container.sectors
        while true {
            let place = current * sectorSize
            guard visited.insert(current).inserted else {
                report(.inconsistent, at: place, "the chain of logical partitions is a loop")
                return
            }
            links += 1
            guard links <= Self.maximumLinks else {
                report(.outOfRange, at: place, "more than \(Self.maximumLinks) in the chain")
                return
            }
            guard let extended = load(at: place, isFirst: visited.count == 1) else { return }
            addLogical(extended, at: current, sectors: sectors, in: container)
            let link = extended.entries.first { $0.sectors > 0 && $0.isExtended }
            guard let link else { return }
            guard link.first < container.sectors else {
                let detail = "its link leads to sector \(link.first) of an extended partition"
                report(.outOfRange, at: place, "\(detail) of \(container.sectors) sectors")
                return
            }
            current = container.first + link.first
            sectors = link.sectors
        }
    }

    private mutating func load(at place: UInt64, isFirst: Bool) -> MasterBootRecord? {
        do throws(DiskError) {
            let sector = try disk.bytes(at: place, count: MasterBootRecord.byteCount)
            if let extended = try MasterBootRecord(sector) { return extended }
            // An extended partition that never held anything need not have a first record.
            if isFirst, sector.allSatisfy({ $0 == 0 }) { return nil }
            report(.badMagic, at: place, "does not end in 55 AA")
        } catch {
            collector.problems.append(error.within("extended boot record", at: 0))
        }
        return nil
    }

    private mutating func addLogical(
        _ extended: MasterBootRecord,
        at current: UInt64,
        sectors: UInt64,
        in container: MasterBootRecord.Entry
    ) {
        let place = current * sectorSize
        for (index, entry) in extended.entries.enumerated() {
            guard entry.sectors > 0, !entry.isExtended else { continue }
            let end = current + entry.first + entry.sectors
            // The last two entries are unused; what stands there counts only where it makes sense.
            if index >= 2, entry.first + entry.sectors > sectors { continue }
            if end > container.first + container.sectors {
                report(.outOfRange, at: place, "its partition \(nextLogical) leaves the container")
            }
            let first = current + entry.first
            add(entry, number: nextLogical, first: first, at: place + entry.offset)
            nextLogical += 1
        }
    }

    private mutating func report(_ reason: DiskError.Reason, at place: UInt64, _ detail: String) {
        collector.problems.append(DiskError(reason, "extended boot record", at: place, detail))
    }

    /// The unit of the addresses, which an MBR does not state.
    ///
    /// It is 512 bytes unless nothing is found where that leads, but something is with 4 KiB.
    private static func sectorSize(of disk: any BlockSource, _ record: MasterBootRecord) -> Int {
        func leadsSomewhere(_ sectorSize: UInt64) -> Bool {
            record.entries.contains { entry in
                let start = entry.first * sectorSize
                let end = start + entry.sectors * sectorSize
                guard entry.sectors > 0, start > 0, end <= disk.byteCount else { return false }
                let part = try? SliceSource(disk, start: start, byteCount: end - start)
                guard let part else { return false }
                if entry.isExtended {
                    let sector = try? part.bytes(at: 0, count: MasterBootRecord.byteCount)
                    return sector.map { $0[510] == 0x55 && $0[511] == 0xAA } ?? false
                }
                return (try? VolumeSignature.probe(part).isEmpty) == false
            }
        }
        return !leadsSomewhere(512) && leadsSomewhere(4096) ? 4096 : 512
    }
}
