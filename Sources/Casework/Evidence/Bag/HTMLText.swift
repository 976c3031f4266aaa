internal import DiskFormats
internal import Linux

/// Writes HTML in which nothing that came from elsewhere can be more than text.
struct HTMLText {
    private(set) var bytes: [UInt8] = []

    /// Appends markup of this program.
    mutating func markup(_ text: String) { bytes += text.utf8 }

    /// Appends a text of this program or of its user: visible characters, the rest as `\xNN`.
    mutating func text(_ text: String) { escape(GuestName.escaped(CommandLineBytes.decode(text))) }

    /// Appends `<tag>text</tag>`.
    mutating func element(_ tag: String, _ content: String) {
        markup("<\(tag)>")
        text(content)
        markup("</\(tag.prefix { $0 != " " })>")
    }

    /// Appends a name that a stranger chose: escaped visibly, set apart from the text around it so
    /// that its direction of writing stays its own, and shortened where it is very long.
    mutating func name(_ name: [UInt8]) {
        markup("<bdi>")
        let shown = GuestName.escaped(name)
        if shown.count > Self.nameMax {
            escape("\(shown.prefix(Self.nameMax * 2 / 3))")
            markup("<span class=cut> … \(name.count) bytes … </span>")
            escape("\(shown.suffix(Self.nameMax / 4))")
        } else {
            escape(shown)
        }
        markup("</bdi>")
    }

    /// How many characters of a name are shown.
    static let nameMax = 240

    private mutating func escape(_ text: String) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "&"): bytes += "&amp;".utf8
            case UInt8(ascii: "<"): bytes += "&lt;".utf8
            case UInt8(ascii: ">"): bytes += "&gt;".utf8
            case UInt8(ascii: "\""): bytes += "&quot;".utf8
            case UInt8(ascii: "'"): bytes += "&#39;".utf8
            default: bytes.append(byte)
            }
        }
    }
}

extension UInt64 {
    /// `1,234,567`.
    var grouped: String {
        let digits = Array(String(self))
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return text
    }

    /// `4.2 GiB`: binary units, three digits.
    var asSize: String {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var value = Double(self)
        var unit = 0
        while value >= 1_000, unit < units.count - 1 {
            value /= 1_024
            unit += 1
        }
        if unit == 0 { return self == 1 ? "1 byte" : "\(self) bytes" }
        let tenths = UInt64((value * 10).rounded())
        let text = value < 100 ? "\(tenths / 10).\(tenths % 10)" : "\(UInt64(value.rounded()))"
        return "\(text) \(units[unit])"
    }
}
