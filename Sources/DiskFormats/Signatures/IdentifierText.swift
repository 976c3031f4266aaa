/// How identifiers and labels of disks are written as text, in the forms that blkid and sfdisk use.
package enum IdentifierText {
    /// `value` in hexadecimal, filled up with zeros to `width` digits.
    package static func hex<T: FixedWidthInteger & UnsignedInteger>(
        _ value: T,
        width: Int,
        uppercase: Bool = false
    ) -> String {
        let digits = String(value, radix: 16, uppercase: uppercase)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// A UUID whose sixteen bytes stand in the order in which they are printed (RFC 9562).
    ///
    /// Empty for the nil UUID, which formats use for "none".
    package static func uuid(_ bytes: [UInt8]) -> String {
        guard bytes.count == 16, bytes.contains(where: { $0 != 0 }) else { return "" }
        var text = ""
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text += "-" }
            text += hex(byte, width: 2)
        }
        return text
    }

    /// A GUID as Microsoft and UEFI store it: the first three fields are little-endian.
    ///
    /// The nil GUID gives zeros, not an empty string.
    package static func guid(_ bytes: [UInt8], uppercase: Bool = false) -> String {
        guard bytes.count == 16 else { return "" }
        let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
        var text = ""
        for (index, source) in order.enumerated() {
            if [4, 6, 8, 10].contains(index) { text += "-" }
            text += hex(bytes[source], width: 2, uppercase: uppercase)
        }
        return text
    }

    /// The four-byte serial number of FAT and exFAT volumes, such as `4FC0-99B1`.
    package static func volumeSerial(_ serial: UInt32) -> String {
        let text = hex(serial, width: 8, uppercase: true)
        return "\(text.prefix(4))-\(text.suffix(4))"
    }

    /// An identifier that the disk stores as text: up to the first NUL, and only if it is printable.
    ///
    /// Empty where it holds anything but visible ASCII: an identifier gets compared and printed, so
    /// what a disk puts there must not be able to pass for something else.
    package static func printable(_ bytes: [UInt8]) -> String {
        let text = bytes.prefix { $0 != 0 }
        guard text.allSatisfy({ (0x21...0x7E).contains($0) }) else { return "" }
        return String(decoding: text, as: UTF8.self)
    }

    /// A label without what pads it: up to the first NUL, without white space at the end.
    package static func label(_ bytes: [UInt8]) -> [UInt8] {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
        var text = bytes.prefix { $0 != 0 }
        while let last = text.last, isSpace(last) { text.removeLast() }
        return [UInt8](text)
    }

    /// UTF-16 code units as UTF-8, up to the first NUL.
    ///
    /// A surrogate without its partner becomes the three bytes that UTF-8 would have for its value
    /// (ED A0 80 to ED BF BF). Those are not valid UTF-8, so nothing is lost or confused.
    package static func utf8(_ units: [UInt16]) -> [UInt8] {
        var bytes: [UInt8] = []
        var index = 0
        while index < units.count, units[index] != 0 {
            var scalar = UInt32(units[index])
            index += 1
            if (0xD800...0xDBFF).contains(scalar), index < units.count,
                (0xDC00...0xDFFF).contains(units[index])
            {
                scalar = 0x10000 + (scalar - 0xD800) << 10 + (UInt32(units[index]) - 0xDC00)
                index += 1
            }
            appendUTF8(scalar, to: &bytes)
        }
        return bytes
    }

    private static func appendUTF8(_ scalar: UInt32, to bytes: inout [UInt8]) {
        func tail(_ shift: UInt32) -> UInt8 { 0x80 | UInt8(scalar >> shift & 0x3F) }
        switch scalar {
        case ..<0x80: bytes.append(UInt8(scalar))
        case ..<0x800: bytes += [0xC0 | UInt8(scalar >> 6), tail(0)]
        case ..<0x10000: bytes += [0xE0 | UInt8(scalar >> 12), tail(6), tail(0)]
        default: bytes += [0xF0 | UInt8(scalar >> 18 & 7), tail(12), tail(6), tail(0)]
        }
    }

    /// The 16-bit little-endian units of `bytes`; an odd last byte is left out.
    package static func unitsLE(_ bytes: [UInt8]) -> [UInt16] {
        (0..<bytes.count / 2).map { UInt16(bytes[2 * $0]) | UInt16(bytes[2 * $0 + 1]) << 8 }
    }

    /// The 16-bit big-endian units of `bytes`; an odd last byte is left out.
    package static func unitsBE(_ bytes: [UInt8]) -> [UInt16] {
        (0..<bytes.count / 2).map { UInt16(bytes[2 * $0]) << 8 | UInt16(bytes[2 * $0 + 1]) }
    }
}
