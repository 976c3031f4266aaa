/// FAT12, FAT16 and FAT32.
///
/// FAT has no magic that all writers set, so the boot sector is believed only where all of its
/// fields make sense. Layout: Microsoft, "FAT: General Overview of On-Disk Format" 1.03.
enum FATSignature: SignatureFamily {
    /// The fields of the boot sector that both layouts share, checked.
    private struct BootSector {
        var sectorSize: UInt64
        var sectorsPerCluster: UInt64
        var reservedSectors: UInt64
        var fatSectors: UInt64
        var rootEntries: Int
        var sectors: UInt64
        var clusters: UInt64
        var isFAT32: Bool
    }

    private static let fat12Clusters: UInt64 = 0xFF4
    private static let fat16Clusters: UInt64 = 0xFFF4
    private static let fat32Clusters: UInt64 = 0x0FFF_FFF6
    /// How far the root directory of FAT32 is followed for its label, which mostly comes first.
    private static let maximumClusters = 100

    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature? {
        let bytes = try volume.bytes(at: 0, count: 512)
        let span = bytes.span
        let raw = span.raw
        guard looksLikeFAT(raw), let boot = try bootSector(raw) else { return nil }
        // BitLocker To Go makes the locked volume look like a FAT.
        guard try BitLockerSignature.probe(volume) == nil else { return nil }
        var signature = VolumeSignature(
            type: "vfat",
            usage: .filesystem,
            byteCount: boot.sectorSize * boot.sectors
        )
        if boot.isFAT32 {
            guard try hasValidInformationSector(volume, raw, boot) else { return nil }
            signature.uuid = IdentifierText.volumeSerial(try raw.u32(at: 0x43))
            signature.version = "FAT32"
            signature.label = try label32(volume, root: try raw.u32(at: 0x2C), boot)
        } else {
            if [0x28, 0x29].contains(try raw.u8(at: 0x26)) {
                signature.uuid = IdentifierText.volumeSerial(try raw.u32(at: 0x27))
            }
            signature.version = boot.clusters < fat12Clusters ? "FAT12" : "FAT16"
            let root = (boot.reservedSectors + boot.fatSectors) * boot.sectorSize
            if case .label(let label) = try scan(volume, at: root, entries: boot.rootEntries) {
                signature.label = label
            }
        }
        return signature
    }

    /// Whether there is a reason to look closer.
    private static func looksLikeFAT(_ raw: RawSpan) -> Bool {
        if raw.matches("MSWIN", at: 0x52) || raw.matches("FAT32   ", at: 0x52) { return true }
        if raw.matches("MSDOS", at: 0x36) || raw.matches("FAT16   ", at: 0x36) { return true }
        if raw.matches("FAT12   ", at: 0x36) || raw.matches("FAT     ", at: 0x36) { return true }
        // Without a name only the end of a boot sector is left; JFS and HPFS have that too.
        guard (try? raw.u16(at: 0x1FE)) == 0xAA55 else { return false }
        return !raw.matches("JFS     ", at: 0x36) && !raw.matches("HPFS    ", at: 0x36)
    }

    private static func bootSector(_ raw: RawSpan) throws(DiskError) -> BootSector? {
        let sectorSize = UInt64(try raw.u16(at: 0x0B))
        let sectorsPerCluster = UInt64(try raw.u8(at: 0x0D))
        let reserved = UInt64(try raw.u16(at: 0x0E))
        let tables = UInt64(try raw.u8(at: 0x10))
        let media = try raw.u8(at: 0x15)
        guard [512, 1024, 2048, 4096].contains(sectorSize),
            sectorsPerCluster.nonzeroBitCount == 1, reserved > 0, tables > 0,
            media >= 0xF8 || media == 0xF0
        else { return nil }
        let rootEntries = UInt64(try raw.u16(at: 0x11))
        let shortSectors = UInt64(try raw.u16(at: 0x13))
        let sectors = shortSectors != 0 ? shortSectors : UInt64(try raw.u32(at: 0x20))
        let shortTable = UInt64(try raw.u16(at: 0x16))
        let longTable = UInt64(try raw.u32(at: 0x24))
        let fatSectors = (shortTable != 0 ? shortTable : longTable) * tables
        let isFAT32 = shortTable == 0 && longTable != 0
        let overhead = reserved + fatSectors + (rootEntries * 32 + sectorSize - 1) / sectorSize
        guard shortTable != 0 || isFAT32, sectors >= overhead else { return nil }
        let clusters = (sectors - overhead) / sectorsPerCluster
        guard clusters <= (isFAT32 ? fat32Clusters : fat16Clusters) else { return nil }
        return BootSector(
            sectorSize: sectorSize,
            sectorsPerCluster: sectorsPerCluster,
            reservedSectors: reserved,
            fatSectors: fatSectors,
            rootEntries: Int(rootEntries),
            sectors: sectors,
            clusters: clusters,
            isFAT32: isFAT32
        )
    }

    /// Whether FAT32's information sector has its signatures, or zeros as some writers leave it.
    private static func hasValidInformationSector(
        _ volume: VolumeReader,
        _ raw: RawSpan,
        _ boot: BootSector
    ) throws(DiskError) -> Bool {
        let number = UInt64(try raw.u16(at: 0x30))
        guard number != 0 else { return true }
        let sector = try volume.bytes(at: number * boot.sectorSize, count: 512)
        let span = sector.span
        // RRaA and, by a bug of an old mkdosfs, RRdA; then rrAa.
        let first = try span.raw.u32(at: 0)
        let second = try span.raw.u32(at: 484)
        return [0x4161_5252, 0x4164_5252, 0].contains(first) && [0x6141_7272, 0].contains(second)
    }

    private enum Finding {
        case label([UInt8])
        case end
        case nothing
    }

    private static func label32(
        _ volume: VolumeReader,
        root: UInt32,
        _ boot: BootSector
    ) throws(DiskError) -> [UInt8] {
        var cluster = UInt64(root)
        let clusterSize = boot.sectorsPerCluster * boot.sectorSize
        let data = (boot.reservedSectors + boot.fatSectors) * boot.sectorSize
        do throws(DiskError) {
            for _ in 0..<maximumClusters where (2..<boot.clusters + 2).contains(cluster) {
                let place = data + (cluster - 2) * clusterSize
                switch try scan(volume, at: place, entries: Int(clusterSize / 32)) {
                case .label(let label): return label
                case .end: return []
                case .nothing: break
                }
                let entry = boot.reservedSectors * boot.sectorSize + cluster * 4
                let next = try volume.bytes(at: entry, count: 4)
                let span = next.span
                cluster = UInt64(try span.raw.u32(at: 0) & 0x0FFF_FFFF)
            }
        } catch  where error.reason == .truncated {
            return []
        }
        return []
    }

    /// Looks for the entry that holds the label among `entries` directory entries at `offset`.
    private static func scan(
        _ volume: VolumeReader,
        at offset: UInt64,
        entries: Int
    ) throws(DiskError) -> Finding {
        let perRead = 128
        for first in stride(from: 0, to: entries, by: perRead) {
            let count = min(perRead, entries - first)
            let place = offset + UInt64(first * 32)
            guard volume.byteCount >= place,
                volume.byteCount - place >= UInt64(count * 32)
            else { return .end }
            let bytes = try volume.bytes(at: place, count: count * 32)
            let span = bytes.span
            for index in 0..<count {
                let entry = try span.raw.slice(at: index * 32, count: 32)
                guard try entry.u8(at: 0) != 0 else { return .end }
                if let label = try label(entry) { return .label(label) }
            }
        }
        return .nothing
    }

    private static func label(_ entry: RawSpan) throws(DiskError) -> [UInt8]? {
        let attributes = try entry.u8(at: 11) & 0x3F
        var name = try entry.array(at: 0, count: 11)
        let isDeleted = name[0] == 0xE5
        let isLongName = attributes == 0x0F
        let isVolume = attributes & 0x18 == 0x08
        let cluster = (try entry.u16(at: 20), try entry.u16(at: 26))
        guard !isDeleted, !isLongName, isVolume, cluster == (0, 0) else { return nil }
        if name[0] == 0x05 { name[0] = 0xE5 }
        return IdentifierText.label(name)
    }
}
