/// Features that a reader must know (bytes 72 to 79 of a version 3 header).
struct QCOW2IncompatibleFeatures: OptionSet, Sendable {
    let rawValue: UInt64

    static let dirty = QCOW2IncompatibleFeatures(rawValue: 1 << 0)
    static let corrupt = QCOW2IncompatibleFeatures(rawValue: 1 << 1)
    static let externalDataFile = QCOW2IncompatibleFeatures(rawValue: 1 << 2)
    static let compressionType = QCOW2IncompatibleFeatures(rawValue: 1 << 3)
    static let extendedL2 = QCOW2IncompatibleFeatures(rawValue: 1 << 4)
    static let known: QCOW2IncompatibleFeatures = [
        .dirty, .corrupt, .externalDataFile, .compressionType, .extendedL2,
    ]
}

/// The fields at fixed places, checked as far as they can be without the rest of the file.
///
/// Layout: QEMU `docs/interop/qcow2.txt`, "Header"; all integers are big-endian.
struct FixedHeader {
    let version: UInt32
    let backingFileOffset: UInt64
    let backingFileSize: UInt32
    let clusterBits: Int
    let virtualSize: UInt64
    let l1EntryCount: UInt32
    let l1TableOffset: UInt64
    let refcountTableOffset: UInt64
    let refcountTableClusters: UInt32
    let snapshotCount: UInt32
    let incompatible: QCOW2IncompatibleFeatures
    let headerLength: UInt64
    let compression: QCOW2Header.Compression

    var clusterSize: UInt64 { 1 << UInt64(clusterBits) }

    /// How much of the file holds header, extensions and backing file name.
    var prefixSize: UInt64 {
        backingFileOffset == 0 ? clusterSize : backingFileOffset + UInt64(backingFileSize)
    }

    init(_ raw: RawSpan) throws(DiskError) {
        guard try raw.be(UInt32.self, at: 0) == QCOW2Header.magic else {
            throw DiskError(.badMagic, "", at: 0, "does not begin with QFI\\xfb")
        }
        version = try raw.be(UInt32.self, at: 4)
        guard version == 2 || version == 3 else {
            throw DiskError(
                .unsupported,
                "",
                at: 4,
                version == 1
                    ? "this is the older format qcow; convert a copy with qemu-img convert -f qcow"
                    : "version \(version), where 2 and 3 are known"
            )
        }
        clusterBits = try Self.clusterBits(raw)
        virtualSize = try raw.be(UInt64.self, at: 24)
        l1EntryCount = try raw.be(UInt32.self, at: 36)
        l1TableOffset = try raw.be(UInt64.self, at: 40)
        refcountTableOffset = try raw.be(UInt64.self, at: 48)
        refcountTableClusters = try raw.be(UInt32.self, at: 56)
        snapshotCount = try raw.be(UInt32.self, at: 60)
        if version == 2 {
            incompatible = []
            headerLength = 72
        } else {
            incompatible = QCOW2IncompatibleFeatures(rawValue: try raw.be(UInt64.self, at: 72))
            headerLength = UInt64(try raw.be(UInt32.self, at: 100))
        }
        compression = try Self.compression(raw, incompatible, headerLength: headerLength)
        backingFileOffset = try raw.be(UInt64.self, at: 8)
        backingFileSize = try raw.be(UInt32.self, at: 16)

        try refuseEncryption(raw)
        try refuseFeatures()
        try checkRanges(raw)
    }

    private static func clusterBits(_ raw: RawSpan) throws(DiskError) -> Int {
        let bits = try raw.be(UInt32.self, at: 20)
        guard (9...21).contains(bits) else {
            throw DiskError(.outOfRange, "", at: 20, "clusters of 2^\(bits) bytes, 9 to 21 allowed")
        }
        return Int(bits)
    }

    private static func compression(
        _ raw: RawSpan,
        _ features: QCOW2IncompatibleFeatures,
        headerLength: UInt64
    ) throws(DiskError) -> QCOW2Header.Compression {
        let type: UInt8 = headerLength > 104 ? try raw.u8(at: 104) : 0
        guard let compression = QCOW2Header.Compression(rawValue: type) else {
            throw DiskError(
                .unsupported,
                "",
                at: 104,
                "compression type \(type), where 0 (zlib) and 1 (zstd) are known"
            )
        }
        // The bit exists so that readers that know zlib alone refuse other types.
        guard features.contains(.compressionType) == (compression != .zlib) else {
            throw DiskError(
                .inconsistent,
                "",
                at: 104,
                "compression type \(type) contradicts incompatible feature bit 3"
            )
        }
        return compression
    }

    private func refuseEncryption(_ raw: RawSpan) throws(DiskError) {
        let method = try raw.be(UInt32.self, at: 32)
        guard method != 0 else { return }
        let name = [1: "AES", 2: "LUKS"][method] ?? "unknown"
        throw DiskError(
            .unsupported,
            "",
            at: 32,
            "the image is encrypted (method \(method), \(name)), which is not read here"
        )
    }

    private func refuseFeatures() throws(DiskError) {
        let unknown = incompatible.subtracting(.known).rawValue
        guard unknown == 0 else {
            let bits = (0..<64).filter { unknown & (1 << UInt64($0)) != 0 }
            let list = bits.map { String($0) }.joined(separator: ", ")
            throw DiskError(.unsupported, "", at: 72, "unknown incompatible feature bits: \(list)")
        }
        guard !incompatible.contains(.externalDataFile) else {
            throw DiskError(
                .refused,
                "",
                at: 72,
                "the guest's data is in an external data file, which is not followed"
            )
        }
        guard !incompatible.contains(.corrupt) else {
            throw DiskError(
                .inconsistent,
                "",
                at: 72,
                "QEMU has marked the image as corrupt; repair a copy with qemu-img check -r all"
            )
        }
    }

    private func checkRanges(_ raw: RawSpan) throws(DiskError) {
        guard headerLength >= (version == 2 ? 72 : 104), headerLength <= clusterSize,
            headerLength % 8 == 0
        else {
            throw DiskError(.outOfRange, "", at: 100, "a header of \(headerLength) bytes")
        }
        // Subclusters are at least a sector: 32 of them make 16 KiB.
        guard !incompatible.contains(.extendedL2) || clusterBits >= 14 else {
            throw DiskError(
                .outOfRange,
                "",
                at: 20,
                "extended L2 entries with clusters of \(clusterSize) bytes, at least 16384 needed"
            )
        }
        // QEMU's own limit of 32 MiB.
        guard l1EntryCount <= 4 << 20 else {
            throw DiskError(.outOfRange, "", at: 36, "an L1 table of \(l1EntryCount) entries")
        }
        if version == 3 {
            let order = try raw.be(UInt32.self, at: 96)
            guard order <= 6 else {
                throw DiskError(.outOfRange, "", at: 96, "reference counts of 2^\(order) bits")
            }
        }
        try checkBackingName()
    }

    private func checkBackingName() throws(DiskError) {
        if backingFileOffset == 0, backingFileSize == 0 { return }
        guard backingFileSize > 0, backingFileSize <= 1023 else {
            throw DiskError(
                .outOfRange,
                "",
                at: 16,
                "a backing file name of \(backingFileSize) bytes, 1 to 1023 allowed"
            )
        }
        guard backingFileOffset >= headerLength, backingFileOffset <= clusterSize,
            clusterSize - backingFileOffset >= UInt64(backingFileSize)
        else {
            throw DiskError(
                .outOfRange,
                "",
                at: 8,
                "the backing file name at \(backingFileOffset) is not between header and the end "
                    + "of the first cluster"
            )
        }
    }
}
