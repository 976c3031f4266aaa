/// What stands behind a range of the guest's disk in one qcow2 layer.
enum ClusterContent: Equatable {
    /// Bytes of the image file from this offset on.
    case file(offset: UInt64)
    /// Zeros, because this layer says so.
    case zeros
    /// Nothing: the backing file decides.
    case unallocated
    /// A compressed cluster; the range is part of what it decompresses to.
    case compressed(CompressedCluster)
}

/// Where a compressed cluster lies in the image file.
struct CompressedCluster: Hashable {
    /// The first byte of the compressed data; need not be aligned.
    let offset: UInt64
    /// Most bytes that it can have; the stream may end before.
    let sizeMax: Int
}

/// How the two kinds of L2 entries of one image are read.
///
/// Layout: QEMU `docs/interop/qcow2.txt`, "Cluster mapping" and "Extended L2 Entries".
struct ClusterEntryFormat {
    private static let compressedFlag: UInt64 = 1 << 62
    private static let copiedFlag: UInt64 = 1 << 63
    private static let zeroFlag: UInt64 = 1
    private static let offsetMask: UInt64 = 0x00FF_FFFF_FFFF_FE00
    private static let reservedMask: UInt64 = 0x3F00_0000_0000_01FE

    let clusterBits: Int
    let hasExtendedL2: Bool
    let allowsZeroFlag: Bool
    let fileSize: UInt64

    private var clusterSize: UInt64 { 1 << UInt64(clusterBits) }

    init(_ header: QCOW2Header, fileSize: UInt64) {
        clusterBits = header.clusterBits
        hasExtendedL2 = header.hasExtendedL2
        // In version 2 bit 0 is reserved.
        allowsZeroFlag = header.version >= 3 && !header.hasExtendedL2
        self.fileSize = fileSize
    }

    /// The host offset of the L2 table that an L1 entry names, or nil where there is none.
    func tableOffset(ofL1Entry entry: UInt64) throws(DiskError) -> UInt64? {
        let offset = entry & Self.offsetMask
        guard entry & ~(Self.offsetMask | Self.copiedFlag) == 0, offset % clusterSize == 0,
            offset != 0 || entry == 0
        else { throw DiskError(.outOfRange, "", "entry 0x\(String(entry, radix: 16))") }
        guard offset != 0 else { return nil }
        guard offset < fileSize else {
            throw DiskError(
                .truncated,
                "",
                "the L2 table at \(offset) lies past the end of the file at \(fileSize)"
            )
        }
        return offset
    }

    /// What an L2 entry says of `length` bytes at `within` of its cluster.
    ///
    /// With extended entries `length` comes back shorter where the answer ends with a subcluster.
    @inline(__always)
    func content(
        _ entry: UInt64,
        bitmap: UInt64,
        within: UInt64,
        length: inout UInt64
    ) throws(DiskError) -> ClusterContent {
        if entry & Self.compressedFlag != 0 { return .compressed(try compressed(entry)) }
        let offset = entry & Self.offsetMask
        let isZero = entry & Self.zeroFlag != 0
        guard entry & Self.reservedMask == 0, offset & (clusterSize - 1) == 0,
            !isZero || allowsZeroFlag, offset != 0 || entry & Self.copiedFlag == 0
        else { throw DiskError(.outOfRange, "", "entry 0x\(String(entry, radix: 16))") }
        if hasExtendedL2 {
            return try subcluster(offset, bitmap, within: within, length: &length)
        }
        if isZero { return .zeros }
        if offset == 0 { return .unallocated }
        return try data(offset + within, length)
    }

    private func data(_ offset: UInt64, _ length: UInt64) throws(DiskError) -> ClusterContent {
        // Offsets have 56 bits and lengths 21: no overflow.
        guard offset + length <= fileSize else {
            throw DiskError(
                .truncated,
                "",
                "\(length) bytes at \(offset) pass the end of the file at \(fileSize)"
            )
        }
        return .file(offset: offset)
    }

    private func compressed(_ entry: UInt64) throws(DiskError) -> CompressedCluster {
        let offsetBits = UInt64(62 - (clusterBits - 8))
        let offset = entry & (1 << offsetBits - 1)
        let sectors = (entry & (Self.compressedFlag - 1)) >> offsetBits
        guard entry & Self.copiedFlag == 0 else {
            throw DiskError(.outOfRange, "", "entry 0x\(String(entry, radix: 16))")
        }
        guard offset < fileSize else {
            throw DiskError(
                .truncated,
                "",
                "compressed data at \(offset) lies past the end of the file at \(fileSize)"
            )
        }
        // The count is in whole sectors, and the file may end inside the last of them.
        let size = (sectors + 1) * 512 - offset % 512
        return CompressedCluster(offset: offset, sizeMax: Int(min(size, fileSize - offset)))
    }

    private func subcluster(
        _ offset: UInt64,
        _ bitmap: UInt64,
        within: UInt64,
        length: inout UInt64
    ) throws(DiskError) -> ClusterContent {
        let allocated = UInt32(truncatingIfNeeded: bitmap)
        let zero = UInt32(truncatingIfNeeded: bitmap >> 32)
        guard allocated & zero == 0, offset != 0 || allocated == 0 else {
            throw DiskError(
                .inconsistent,
                "",
                "subclusters 0x\(String(bitmap, radix: 16)) of the cluster at \(offset)"
            )
        }
        let size = clusterSize / 32
        let first = Int(within / size)
        let bit = UInt32(1) << UInt32(first)
        var last = first
        // Neighbours that say the same are one answer.
        while last < 31, (allocated >> UInt32(last + 1)) & 1 == (allocated >> UInt32(first)) & 1,
            (zero >> UInt32(last + 1)) & 1 == (zero >> UInt32(first)) & 1
        {
            last += 1
        }
        length = min(length, UInt64(last + 1) * size - within)
        if zero & bit != 0 { return .zeros }
        if allocated & bit == 0 { return .unallocated }
        return try data(offset + within, length)
    }
}
