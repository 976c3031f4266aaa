/// Reads a GUID partition table from the first of its two copies, or from the second.
///
/// Layout: UEFI specification 2.10, section 5.3 (GUID Partition Table Disk Layout).
struct GPTReader {
    /// A copy of the table whose checksums are right.
    private struct Copy {
        var header: GPTHeader
        var entries: [UInt8]
        var sectorSize: Int
        var sector: UInt64
    }

    private static let sectorSizes = [512, 4096]
    private static let primarySector: UInt64 = 1

    private let disk: any BlockSource
    private let record: MasterBootRecord?
    private var problems: [DiskError] = []

    /// Prepares to read `disk`, whose first sector is `record` where that announces a GPT.
    init(_ disk: any BlockSource, protectedBy record: MasterBootRecord?) {
        self.disk = disk
        self.record = record
    }

    /// The table; of kind none where neither copy can be used and no record announces one.
    consuming func read() -> PartitionTable {
        guard let copy = findCopy() else {
            guard record != nil else { return PartitionTable(kind: .none) }
            return PartitionTable(kind: .gpt, problems: problems)
        }
        var collector = PartitionCollector(disk, sectorSize: copy.sectorSize)
        collector.problems = problems
        addPartitions(of: copy, to: &collector)
        collector.reportOverlaps()
        return PartitionTable(
            kind: .gpt,
            sectorSize: copy.sectorSize,
            identifier: IdentifierText.guid(copy.header.diskGUID, uppercase: true),
            partitions: collector.partitions,
            problems: collector.problems
        )
    }

    // MARK: The two copies

    private mutating func findCopy() -> Copy? {
        var failures: [DiskError] = []
        for sectorSize in Self.sectorSizes {
            do throws(DiskError) {
                let primary = try load(Self.primarySector, sectorSize)
                compareWithBackup(primary)
                return primary
            } catch {
                failures.append(error.within("primary GPT", at: 0))
            }
        }
        // What failed with the right sector size got further than the missing magic.
        let failure = failures.first { $0.reason != .badMagic } ?? failures[0]
        problems.append(failure)
        var backupFailure: DiskError?
        for sectorSize in Self.sectorSizes {
            for sector in backupSectors(sectorSize) {
                do throws(DiskError) {
                    let backup = try load(sector, sectorSize)
                    let place = sector * UInt64(sectorSize)
                    let detail = "used instead of the primary; the disk's system would repair it"
                    problems.append(DiskError(.inconsistent, "backup GPT", at: place, detail))
                    return backup
                } catch {
                    let isTelling = backupFailure.map { $0.reason == .badMagic } ?? true
                    if isTelling { backupFailure = error.within("backup GPT", at: 0) }
                }
            }
        }
        if let backupFailure { problems.append(backupFailure) }
        return nil
    }

    /// Where the second copy may stand: as a primary says, damaged or not; where the disk ended
    /// when the protective record was written; at the end of the disk.
    private func backupSectors(_ sectorSize: Int) -> [UInt64] {
        let count = disk.byteCount / UInt64(sectorSize)
        var sectors: [UInt64] = []
        let header = try? disk.bytes(at: Self.primarySector * UInt64(sectorSize), count: 92)
        if let header, header.starts(with: "EFI PART".utf8) {
            let span = header.span
            if let alternate = try? span.raw.u64(at: 32) { sectors.append(alternate) }
        }
        if let last = record?.lastProtectedSector { sectors.append(last) }
        if count > 0 { sectors.append(count - 1) }
        return sectors.filter { $0 > Self.primarySector && $0 < count }
    }

    /// Reports it where the second copy is damaged, missing, or says something else.
    private mutating func compareWithBackup(_ primary: Copy) {
        let sectorSize = UInt64(primary.sectorSize)
        let sector = primary.header.alternate
        func report(_ reason: DiskError.Reason, at place: UInt64?, _ detail: String) {
            problems.append(DiskError(reason, "backup GPT", at: place, detail))
        }
        guard sector < disk.byteCount / sectorSize else {
            let detail =
                "belongs in sector \(sector), past the end of the disk; the primary is used"
            report(.truncated, at: nil, detail)
            return
        }
        do throws(DiskError) {
            let backup = try load(sector, primary.sectorSize)
            guard !primary.header.agrees(with: backup.header) else { return }
            let detail = "differs from the primary, which is used"
            report(.inconsistent, at: sector * sectorSize, detail)
        } catch {
            problems.append(error.within("backup GPT", at: 0))
        }
    }

    private func load(_ sector: UInt64, _ sectorSize: Int) throws(DiskError) -> Copy {
        let place = sector.multipliedReportingOverflow(by: UInt64(sectorSize))
        guard !place.overflow else {
            throw DiskError(.outOfRange, "", "sector \(sector) cannot be on the disk")
        }
        let bytes = try disk.bytes(at: place.partialValue, count: sectorSize)
        let header: GPTHeader
        do throws(DiskError) {
            header = try GPTHeader(bytes, number: sector)
        } catch {
            throw error.within("header", at: place.partialValue)
        }
        let array = header.entriesSector.multipliedReportingOverflow(by: UInt64(sectorSize))
        guard !array.overflow else {
            let detail = "entries in sector \(header.entriesSector)"
            throw DiskError(.outOfRange, "header", at: place.partialValue + 72, detail)
        }
        let entries = try disk.bytes(at: array.partialValue, count: header.entriesByteCount)
        let span = entries.span
        guard crc32(span.raw) == header.entriesChecksum else {
            let detail = "do not have the checksum that the header states"
            throw DiskError(.badChecksum, "entries", at: array.partialValue, detail)
        }
        return Copy(header: header, entries: entries, sectorSize: sectorSize, sector: sector)
    }

    // MARK: Entries

    /// Adds the entries in use.
    ///
    /// Layout: UEFI specification 2.10, section 5.3.3 (GPT Partition Entry Array).
    private func addPartitions(of copy: Copy, to collector: inout PartitionCollector) {
        let header = copy.header
        let array = header.entriesSector * UInt64(copy.sectorSize)
        for index in 0..<header.entryCount {
            let offset = index * header.entryByteCount
            let entry = Array(copy.entries[offset..<offset + 128])
            guard entry[..<16].contains(where: { $0 != 0 }) else { continue }
            let place = array + UInt64(offset)
            do throws(DiskError) {
                try add(entry, number: index + 1, at: place, header, to: &collector)
            } catch {
                collector.problems.append(error)
            }
        }
    }

    private func add(
        _ entry: [UInt8],
        number: Int,
        at place: UInt64,
        _ header: GPTHeader,
        to collector: inout PartitionCollector
    ) throws(DiskError) {
        let span = entry.span
        let raw = span.raw
        let first = try raw.u64(at: 32)
        let last = try raw.u64(at: 40)
        let structure = "partition \(number)"
        guard first <= last, last < UInt64.max else {
            let detail = "left out: first sector \(first), last \(last)"
            throw DiskError(.outOfRange, structure, at: place, detail)
        }
        if !header.usable.contains(first) || !header.usable.contains(last) {
            let usable = "\(header.usable.lowerBound) to \(header.usable.upperBound)"
            let detail = "sectors \(first) to \(last) leave the usable ones, \(usable)"
            collector.problems.append(DiskError(.outOfRange, structure, at: place, detail))
        }
        let legacyBIOSBootable: UInt64 = 1 << 2
        let partition = Partition(
            number: number,
            start: 0,
            byteCount: 0,
            type: IdentifierText.guid(Array(entry[0..<16]), uppercase: true),
            name: IdentifierText.utf8(IdentifierText.unitsLE(Array(entry[56..<128]))),
            uuid: IdentifierText.guid(Array(entry[16..<32])),
            bootable: try raw.u64(at: 48) & legacyBIOSBootable != 0
        )
        collector.add(partition, first: first, sectors: last - first + 1, entry: place)
    }
}
