public import DiskFormats
internal import Synchronization

/// One disk of an instance, attached read-only, with the volumes on it.
public final class Disk: Sendable {
    /// The file's name, such as `disk`; the first part of a guest path.
    public let name: String
    /// The image chain behind it.
    public let image: AttachedDisk
    /// The partition table; its kind is `none` where there is no table.
    public let table: PartitionTable
    /// The volumes, in the order of the table; one with an empty name where there is no table.
    public let volumes: [Volume]

    /// Reads the partition table of an attached image.
    package init(
        name: String,
        image: AttachedDisk,
        journal: JournalPolicy,
        opening: VolumeOpening = VolumeOpening()
    ) throws(GloveboxError) {
        let source = image.source
        let table = try reading(name) { () throws(DiskError) in try PartitionTable.read(source) }
        self.name = name
        self.image = image
        self.table = table
        self.volumes = try reading(name) { () throws(DiskError) in
            try Self.makeVolumes(of: table, on: source, disk: name, journal, opening)
        }
    }

    private static func makeVolumes(
        of table: PartitionTable,
        on source: any BlockSource,
        disk: String,
        _ journal: JournalPolicy,
        _ opening: VolumeOpening
    ) throws(DiskError) -> [Volume] {
        guard table.kind != .none else {
            let name = GuestPath.VolumeName(disk: disk, volume: "")
            return [
                Volume(
                    name: name,
                    partition: nil,
                    source: source,
                    journal: journal,
                    opening: opening
                )
            ]
        }
        var volumes: [Volume] = []
        for partition in table.partitions where !partition.isExtendedContainer {
            let part = try SliceSource(
                source,
                start: partition.start,
                byteCount: partition.byteCount
            )
            let name = GuestPath.VolumeName(disk: disk, volume: "p\(partition.number)")
            volumes.append(
                Volume(
                    name: name,
                    partition: partition,
                    source: part,
                    journal: journal,
                    opening: opening
                )
            )
        }
        return volumes
    }
}
