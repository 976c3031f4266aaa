/// RFC 4648 base64 with padding.
package enum Base64 {
    private static let alphabet = [UInt8](
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
    )

    /// Appends `value` in base64, without line breaks.
    package static func append(_ value: some Collection<UInt8>, to text: inout [UInt8]) {
        var group: UInt32 = 0
        var held = 0
        func character(_ shift: UInt32) -> UInt8 { alphabet[Int(group >> shift & 63)] }
        for byte in value {
            group = group << 8 | UInt32(byte)
            held += 1
            guard held == 3 else { continue }
            text += [character(18), character(12), character(6), character(0)]
            (group, held) = (0, 0)
        }
        let padding = UInt8(ascii: "=")
        switch held {
        case 1:
            group <<= 16
            text += [character(18), character(12), padding, padding]
        case 2:
            group <<= 8
            text += [character(18), character(12), character(6), padding]
        default:
            break
        }
    }

    /// The bytes that `text` stands for; nil where it is not exactly what ``append(_:to:)`` writes.
    package static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        var group: UInt32 = 0
        var held = 0
        var padding = 0
        for character in text {
            if character == UInt8(ascii: "=") {
                padding += 1
                group <<= 6
            } else {
                guard padding == 0, let value = value(of: character) else { return nil }
                group = group << 6 | value
            }
            held += 1
            guard held == 4 else { continue }
            bytes += [UInt8(group >> 16 & 255), UInt8(group >> 8 & 255), UInt8(group & 255)]
            (group, held) = (0, 0)
        }
        guard padding <= 2 else { return nil }
        // The bits that padding leaves over are zero, so that there is one text for these bytes.
        guard bytes.suffix(padding).allSatisfy({ $0 == 0 }) else { return nil }
        bytes.removeLast(padding)
        return bytes
    }

    private static func value(of character: UInt8) -> UInt32? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character) - 65
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character) - 71
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character) + 4
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
