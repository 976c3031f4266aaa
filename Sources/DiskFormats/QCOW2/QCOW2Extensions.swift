/// The header extensions: what they say that matters for reading.
///
/// Layout: QEMU `docs/interop/qcow2.txt`, "Header extensions": type, length, data, padded to 8.
struct QCOW2Extensions {
    private static let end: UInt32 = 0
    private static let backingFormatName: UInt32 = 0xE279_2ACA
    private static let featureNameTable: UInt32 = 0x6803_F857
    private static let bitmaps: UInt32 = 0x2385_2875
    private static let fullDiskEncryption: UInt32 = 0x0537_BE77
    private static let externalDataFileName: UInt32 = 0x4441_5441

    /// The recorded format of the backing file.
    private(set) var backingFormat: [UInt8]?

    /// Parses the area that holds the extensions; `start` is its place in the file.
    init(_ raw: RawSpan, at start: UInt64) throws(DiskError) {
        var position = 0
        while raw.byteCount - position >= 8 {
            let type = try raw.be(UInt32.self, at: position)
            let length = Int(try raw.be(UInt32.self, at: position + 4))
            if type == Self.end { return }
            let place = start + UInt64(position)
            guard length <= raw.byteCount - position - 8 else {
                throw DiskError(
                    .truncated,
                    "extension 0x\(String(type, radix: 16))",
                    at: place,
                    "\(length) bytes long, \(raw.byteCount - position - 8) left"
                )
            }
            try note(type, raw.slice(at: position + 8, count: length), at: place)
            position += 8 + (length + 7) & ~7
        }
    }

    private mutating func note(
        _ type: UInt32,
        _ data: RawSpan,
        at place: UInt64
    ) throws(DiskError) {
        switch type {
        case Self.backingFormatName:
            guard backingFormat == nil else {
                throw DiskError(.inconsistent, "", at: place, "two backing format names")
            }
            backingFormat = data.array
        case Self.externalDataFileName:
            throw DiskError(
                .refused,
                "",
                at: place,
                "names an external data file, which is not followed"
            )
        case Self.fullDiskEncryption:
            throw DiskError(
                .unsupported,
                "",
                at: place,
                "the image is encrypted (it has an encryption header), which is not read here"
            )
        case Self.featureNameTable, Self.bitmaps: break
        default: break  // By the format's document, unknown extensions can be ignored.
        }
    }
}
