/// ISO 9660, with or without Joliet.
///
/// Layout: ECMA-119, sections 8 (Volume Descriptors) and 9.1 (Directory Record); the Joliet
/// specification for the supplementary descriptor.
enum ISO9660Signature: SignatureFamily {
    private static let firstDescriptor: UInt64 = 0x8000
    private static let descriptorSize = 2048
    private static let maximumDescriptors = 16

    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature? {
        guard volume.matches("CD001", at: 0x8001) else { return nil }
        let (primary, joliet) = try descriptors(volume)
        guard let primary else { return nil }
        let span = primary.span
        let raw = span.raw
        let blockSize = UInt64(try raw.u16(at: 128))
        guard blockSize > 0, try hasRootDirectory(volume, raw, blockSize) else { return nil }
        return VolumeSignature(
            type: "iso9660",
            usage: .filesystem,
            label: label(primary: Array(primary[40..<72]), joliet: joliet.map { $0[40..<72] }),
            uuid: date(primary[830..<847]) ?? date(primary[813..<830]) ?? "",
            byteCount: UInt64(try raw.u32(at: 80)) * blockSize,
            version: joliet == nil ? "" : "Joliet Extension"
        )
    }

    /// The first primary and the first Joliet descriptor.
    private static func descriptors(
        _ volume: VolumeReader
    ) throws(DiskError) -> (primary: [UInt8]?, joliet: [UInt8]?) {
        var primary: [UInt8]?
        var joliet: [UInt8]?
        for index in 0..<maximumDescriptors {
            let offset = firstDescriptor + UInt64(index * descriptorSize)
            guard volume.byteCount >= offset + UInt64(descriptorSize) else { break }
            let descriptor = try volume.bytes(at: offset, count: descriptorSize)
            switch descriptor[0] {
            case 1: primary = primary ?? descriptor
            case 2 where isJoliet(descriptor): joliet = joliet ?? descriptor
            case 0xFF: return (primary, joliet)
            default: break
            }
        }
        return (primary, joliet)
    }

    /// Whether the escape sequence is one of those for UCS-2: `%/@`, `%/C`, `%/E`.
    private static func isJoliet(_ descriptor: [UInt8]) -> Bool {
        descriptor[88] == 0x25 && descriptor[89] == 0x2F
            && [0x40, 0x43, 0x45].contains(descriptor[90])
    }

    /// Whether the root directory begins with the record of itself.
    ///
    /// Five letters can stand at that place in any volume, for instance where it stores an image.
    private static func hasRootDirectory(
        _ volume: VolumeReader,
        _ raw: RawSpan,
        _ blockSize: UInt64
    ) throws(DiskError) -> Bool {
        let block = try raw.u32(at: 156 + 2)
        guard try raw.u32(at: 156 + 10) >= 34 else { return false }
        let record = try volume.bytes(at: UInt64(block) * blockSize, count: 34)
        let span = record.span
        let isItself = record[32] == 1 && record[33] == 0
        return try span.raw.u32(at: 2) == block && isItself && record[0] >= 34
    }

    /// A date as blkid makes an identifier of it, or nil where it is not set.
    private static func date(_ field: ArraySlice<UInt8>) -> String? {
        let digits = field.prefix(16)
        let isUnset = digits.allSatisfy { $0 == UInt8(ascii: "0") } && field.last == 0
        guard !isUnset, digits.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index >= 4, index % 2 == 0 { text += "-" }
            text.append(Character(Unicode.Scalar(digit)))
        }
        return text
    }

    /// The label, put together from both descriptors.
    ///
    /// Joliet's has all characters but only 16 of them; the primary's has 32, with `_` for what it
    /// cannot write and often in upper case. Where they agree so far, the rest of the longer counts.
    private static func label(primary: [UInt8], joliet: ArraySlice<UInt8>?) -> [UInt8] {
        guard let joliet else { return IdentifierText.label(primary) }
        let units = IdentifierText.unitsBE(Array(joliet))
        let merged = merge(units, primary) ?? units
        return IdentifierText.label(IdentifierText.utf8(merged))
    }

    private static func merge(_ units: [UInt16], _ ascii: [UInt8]) -> [UInt16]? {
        var merged: [UInt16] = []
        var unit = 0
        var index = 0
        while unit < units.count, index < ascii.count {
            if (0xD800...0xDBFF).contains(units[unit]), unit + 1 < units.count,
                (0xDC00...0xDFFF).contains(units[unit + 1])
            {
                // One character beyond the basic plane stands for one underscore.
                merged.append(units[unit])
                unit += 1
            }
            let wide = units[unit]
            let narrow = UInt16(ascii[index])
            if narrow == UInt16(UInt8(ascii: "_")) {
                merged.append(wide)
            } else if wide == UInt16(UInt8(ascii: "_")) {
                merged.append(narrow)
            } else if upper(wide) == upper(narrow) {
                merged.append(narrow == upper(narrow) ? wide : narrow)
            } else {
                return nil
            }
            unit += 1
            index += 1
        }
        return merged + ascii[index...].map { UInt16($0) }
    }

    private static func upper(_ unit: UInt16) -> UInt16 {
        (0x61...0x7A).contains(unit) ? unit - 0x20 : unit
    }
}
