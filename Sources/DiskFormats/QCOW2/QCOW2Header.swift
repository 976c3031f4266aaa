/// The header of a qcow2 image, every field checked.
///
/// A value exists only where the image can be read completely: features that would need another
/// file, a key, or knowledge that this reader lacks are refused by name while parsing.
///
/// Layout: QEMU `docs/interop/qcow2.txt`, "Header".
public struct QCOW2Header: Equatable, Sendable {
    /// How clusters are compressed.
    public enum Compression: UInt8, Sendable {
        /// Raw deflate with a window of 4 KiB.
        case zlib = 0
        /// One Zstandard frame a cluster.
        case zstd = 1
    }

    /// 2 or 3.
    public let version: UInt32
    /// The cluster size is 2 to this power: 9 to 21.
    public let clusterBits: Int
    /// The size of the guest's disk in bytes.
    public let virtualSize: UInt64
    /// Where the L1 table begins in the file.
    public let l1TableOffset: UInt64
    /// How many entries of 8 bytes it has; enough for ``virtualSize``.
    public let l1EntryCount: UInt32
    /// Whether each L2 entry carries bitmaps of 32 subclusters.
    public let hasExtendedL2: Bool
    /// Whether reference counts may be stale; of no concern for reading.
    public let isDirty: Bool
    /// The method of compressed clusters.
    public let compression: Compression
    /// How many internal snapshots there are; they are not looked at.
    public let snapshotCount: UInt32
    /// The name of the backing file as it stands in the header, if there is one.
    public let backingFile: [UInt8]?
    /// The recorded format of the backing file, if there is one.
    public let backingFormat: [UInt8]?

    /// The four bytes that every qcow and qcow2 image begins with.
    static let magic: UInt32 = 0x5146_49FB

    /// The cluster size in bytes.
    public var clusterSize: UInt64 { 1 << UInt64(clusterBits) }

    /// The size of an L2 entry is 2 to this power.
    var l2EntryBits: Int { hasExtendedL2 ? 4 : 3 }

    /// How many bits of a guest offset one L2 table covers.
    var l1Shift: Int { clusterBits + clusterBits - l2EntryBits }

    /// Reads and checks the header of the image in `file`.
    ///
    /// Throws `unsupported` or `refused` for what is not read here, and other reasons for damage.
    public init(reading file: any BlockSource) throws(DiskError) {
        do throws(DiskError) {
            let start = try file.bytes(at: 0, count: Int(min(file.byteCount, 512)))
            let startSpan = start.span
            let fixed = try FixedHeader(startSpan.raw)
            let size = fixed.prefixSize
            guard size <= file.byteCount else {
                throw DiskError(.truncated, "", at: 0, "the file ends inside its first cluster")
            }
            let prefix = try file.bytes(at: 0, count: Int(size))
            let prefixSpan = prefix.span
            try self.init(fixed, prefix: prefixSpan.raw, fileSize: file.byteCount)
        } catch {
            throw error.within("qcow2 header", at: 0)
        }
    }

    private init(_ fixed: FixedHeader, prefix: RawSpan, fileSize: UInt64) throws(DiskError) {
        let end = fixed.backingFileOffset == 0 ? fixed.clusterSize : fixed.backingFileOffset
        let extensions = try QCOW2Extensions(
            prefix.slice(at: Int(fixed.headerLength), count: Int(end) - Int(fixed.headerLength)),
            at: fixed.headerLength
        )
        version = fixed.version
        clusterBits = fixed.clusterBits
        virtualSize = fixed.virtualSize
        l1TableOffset = fixed.l1TableOffset
        l1EntryCount = fixed.l1EntryCount
        hasExtendedL2 = fixed.incompatible.contains(.extendedL2)
        isDirty = fixed.incompatible.contains(.dirty)
        compression = fixed.compression
        snapshotCount = fixed.snapshotCount
        backingFormat = extensions.backingFormat
        backingFile =
            fixed.backingFileOffset == 0
            ? nil
            : try prefix.array(
                at: Int(fixed.backingFileOffset),
                count: Int(fixed.backingFileSize)
            )
        try checkTables(fixed, fileSize: fileSize)
    }

    private func checkTables(_ fixed: FixedHeader, fileSize: UInt64) throws(DiskError) {
        let covered = UInt64(1) << UInt64(l1Shift)
        let needed = virtualSize / covered + (virtualSize % covered == 0 ? 0 : 1)
        guard UInt64(l1EntryCount) >= needed else {
            throw DiskError(
                .inconsistent,
                "",
                at: 36,
                "the L1 table has \(l1EntryCount) entries, the disk needs \(needed)"
            )
        }
        try checkTable("L1", at: 40, l1TableOffset, UInt64(l1EntryCount) * 8, fileSize)
        try checkTable(
            "refcount",
            at: 48,
            fixed.refcountTableOffset,
            UInt64(fixed.refcountTableClusters) << UInt64(clusterBits),
            fileSize
        )
    }

    private func checkTable(
        _ name: String,
        at field: UInt64,
        _ offset: UInt64,
        _ size: UInt64,
        _ fileSize: UInt64
    ) throws(DiskError) {
        guard size > 0 else { return }
        guard offset >= clusterSize, offset % clusterSize == 0 else {
            throw DiskError(
                .outOfRange,
                "",
                at: field,
                "the \(name) table is said to begin at \(offset), no cluster boundary past the header"
            )
        }
        guard offset <= fileSize, fileSize - offset >= size else {
            throw DiskError(
                .truncated,
                "",
                at: field,
                "the \(name) table (\(size) bytes at \(offset)) passes the end of the file at "
                    + "\(fileSize)"
            )
        }
    }
}

extension QCOW2Header {
    /// Whether the first bytes of a file are those of a qcow or qcow2 image.
    package static func hasMagic(_ start: RawSpan) -> Bool {
        (try? start.be(UInt32.self, at: 0)) == magic
    }
}
