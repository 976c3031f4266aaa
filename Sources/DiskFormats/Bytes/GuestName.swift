/// How names from a disk are shown: they are bytes that a stranger chose.
package enum GuestName {
    /// Whether `bytes` can stand on a terminal, and in JSON, as they are: printable ASCII without
    /// backslash and quotation mark.
    package static func isPlain(_ bytes: Span<UInt8>) -> Bool {
        var isPlain = true
        for index in bytes.indices {
            let byte = bytes[index]
            let isPrintable = byte &- 0x20 < 0x5F
            let isSpecial = byte == UInt8(ascii: "\\") || byte == UInt8(ascii: "\"")
            isPlain = isPlain && isPrintable && !isSpecial
        }
        return isPlain
    }

    /// Appends `bytes` so that no terminal acts on them.
    ///
    /// Printable Unicode stays; control and format characters (which could move the cursor or
    /// reverse the direction of writing), backslashes and bytes that are not UTF-8 become `\xNN`.
    package static func appendEscaped(_ bytes: [UInt8], to text: inout [UInt8]) {
        if isPlain(bytes.span) {
            text.append(contentsOf: bytes)
            return
        }
        var decoder = Unicode.UTF8.ForwardParser()
        var rest = bytes.makeIterator()
        var raw = bytes[...]
        parsing: while true {
            switch decoder.parseScalar(from: &rest) {
            case .emptyInput:
                break parsing
            case .error(let length):
                for byte in raw.prefix(length) { appendHex(byte, to: &text) }
                raw = raw.dropFirst(length)
            case .valid(let encoded):
                let scalar = Unicode.UTF8.decode(encoded)
                if isHarmless(scalar), scalar != "\\" {
                    text.append(contentsOf: encoded)
                } else {
                    for byte in encoded { appendHex(byte, to: &text) }
                }
                raw = raw.dropFirst(encoded.count)
            }
        }
    }

    /// ``appendEscaped(_:to:)`` as a string.
    package static func escaped(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        appendEscaped(bytes, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Whether a terminal merely shows `scalar`: no control, format or unassigned character.
    package static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
            .paragraphSeparator:
            return false
        default:
            return true
        }
    }

    private static func appendHex(_ byte: UInt8, to text: inout [UInt8]) {
        let digits: StaticString = "0123456789abcdef"
        digits.withUTF8Buffer { digits in
            text.append(UInt8(ascii: "\\"))
            text.append(UInt8(ascii: "x"))
            unsafe text.append(digits[Int(byte >> 4)])
            unsafe text.append(digits[Int(byte & 15)])
        }
    }
}
