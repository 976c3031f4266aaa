/// How a disk is divided, as far as that can be known.
///
/// Damage does not prevent reading what is left of a table: it is listed in ``problems``. Every
/// partition lies inside the disk, so that it can be sliced out of it.
public struct PartitionTable: Sendable, Equatable {
    /// The kinds of partition table.
    public enum Kind: String, Sendable {
        /// A GUID partition table.
        case gpt
        /// A master boot record, perhaps with an extended partition.
        case mbr
        /// No table: what the disk holds, it holds as a whole.
        case none
    }

    /// The kind of table.
    public var kind: Kind
    /// The unit of the table's addresses in bytes, 512 or 4,096.
    public var sectorSize: Int
    /// The disk's GUID in upper case, or the MBR's identifier such as `0x2f9bd5c7`.
    ///
    /// Empty where there is no table.
    public var identifier: String
    /// The partitions in the order of their numbers.
    public var partitions: [Partition]
    /// What is wrong with the table; empty means that all of it could be used.
    public var problems: [DiskError]

    /// Creates a table.
    public init(
        kind: Kind,
        sectorSize: Int = 512,
        identifier: String = "",
        partitions: [Partition] = [],
        problems: [DiskError] = []
    ) {
        self.kind = kind
        self.sectorSize = sectorSize
        self.identifier = identifier
        self.partitions = partitions
        self.problems = problems
    }

    /// Reads the partition table of `disk`.
    ///
    /// A boot sector of a file system is not taken for a table although both end in 55 AA. A table
    /// without partitions on a disk that is in use as a whole counts as none. Where the first copy
    /// of a GPT is damaged the second is used, and ``problems`` says so.
    ///
    /// Throws what the source reported where the first sector cannot be read.
    public static func read(_ disk: any BlockSource) throws(DiskError) -> PartitionTable {
        guard disk.byteCount >= UInt64(MasterBootRecord.byteCount) else {
            return PartitionTable(kind: .none)
        }
        let sector = try disk.bytes(at: 0, count: MasterBootRecord.byteCount)
        let record = try MasterBootRecord(sector)
        if let record, record.isProtective {
            return GPTReader(disk, protectedBy: record).read()
        }
        if let record, record.isPlausible, !record.isEmpty,
            !VolumeSignature.hasVolumeBootSector(disk)
        {
            return MBRReader(disk, record).read()
        }
        return withoutEntries(disk, record)
    }

    /// The table of a disk whose first sector lists no partition.
    private static func withoutEntries(
        _ disk: any BlockSource,
        _ record: MasterBootRecord?
    ) -> PartitionTable {
        // A new file system on the whole disk often leaves the second copy of a GPT at its end.
        var table = GPTReader(disk, protectedBy: nil).read()
        let isListed = table.kind == .gpt
        guard isListed || record?.isPlausible == true else { return PartitionTable(kind: .none) }
        do throws(DiskError) {
            let signatures = try VolumeSignature.probe(disk)
            // The boot sector of a damaged file system ends in 55 AA as that of a sound one.
            guard signatures.isEmpty, isListed || SignatureRemains.types(on: disk).isEmpty else {
                return PartitionTable(kind: .none)
            }
        } catch {
            table.problems.append(error)
        }
        if isListed {
            table.problems.insert(
                DiskError(
                    .inconsistent,
                    "MBR",
                    at: 0,
                    "no protective entry (type ee), although the disk has a GPT; the GPT is used"
                ),
                at: 0
            )
            return table
        }
        let identifier = record?.identifier ?? ""
        return PartitionTable(kind: .mbr, identifier: identifier, problems: table.problems)
    }
}
