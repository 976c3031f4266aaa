package import DiskFormats
internal import Linux

/// Writes JSON text straight into bytes.
///
/// A general encoder costs a hundred times the work of reading an inode, and refuses names that
/// are not UTF-8; listings have hundreds of thousands of lines.
package struct JSONText {
    /// What has been written so far.
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    /// Nothing yet.
    package init() {}

    /// `{`, the members that `body` writes, `}`.
    package mutating func object(_ body: (inout JSONText) -> Void) {
        open(UInt8(ascii: "{"))
        body(&self)
        close(UInt8(ascii: "}"))
    }

    /// `[`, the values that `body` writes, `]`.
    package mutating func array(_ body: (inout JSONText) -> Void) {
        open(UInt8(ascii: "["))
        body(&self)
        close(UInt8(ascii: "]"))
    }

    /// The name of the next value; must not need escaping.
    package mutating func key(_ name: StaticString) {
        separate()
        append(quoted: name, end: ":")
        needsComma = false
    }

    package mutating func member(_ name: StaticString, _ value: UInt64) {
        key(name)
        bytes.append(decimal: value)
        needsComma = true
    }

    package mutating func member(_ name: StaticString, _ value: Int) {
        key(name)
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        bytes.append(decimal: UInt64(value.magnitude))
        needsComma = true
    }

    package mutating func member(_ name: StaticString, _ value: Bool) {
        key(name)
        bytes.append(contentsOf: (value ? "true" : "false").utf8)
        needsComma = true
    }

    package mutating func member(_ name: StaticString, _ value: String) {
        key(name)
        string(value)
    }

    /// A text, or `null` where there is none.
    package mutating func member(orNull name: StaticString, _ value: String?) {
        if let value { return member(name, value) }
        key(name)
        bytes.append(contentsOf: "null".utf8)
        needsComma = true
    }

    /// A value that is known not to need escaping.
    package mutating func member(plain name: StaticString, _ value: StaticString) {
        key(name)
        append(quoted: value, end: "")
        needsComma = true
    }

    package mutating func member(_ name: StaticString, _ value: Timestamp) {
        key(name)
        bytes.append(UInt8(ascii: "\""))
        value.appendISO8601(to: &bytes)
        bytes.append(UInt8(ascii: "\""))
        needsComma = true
    }

    /// Permission bits: four octal digits as a string.
    package mutating func member(_ name: StaticString, octal value: UInt16) {
        key(name)
        bytes.append(addingCapacity: 6) { text in
            text.append(UInt8(ascii: "\""))
            for shift: UInt16 in [9, 6, 3, 0] {
                text.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value >> shift & 7))
            }
            text.append(UInt8(ascii: "\""))
        }
        needsComma = true
    }

    /// Bytes of a disk: as text where they are UTF-8, otherwise readably and, exact, in base64.
    package mutating func member(
        _ name: StaticString,
        base64 exactName: StaticString,
        _ value: [UInt8]
    ) {
        key(name)
        if appendText(value) { return }
        append(quotedText: GuestName.escaped(value))
        key(exactName)
        base64(value)
    }

    /// A path or name of the host, as `CommandLineBytes` carries it; the same as for bytes of a disk.
    package mutating func member(
        _ name: StaticString,
        base64 exactName: StaticString,
        host text: String
    ) {
        if GuestName.isPlain(text.utf8Span.span) { return member(name, text) }
        member(name, base64: exactName, CommandLineBytes.decode(text))
    }

    /// A string value.
    package mutating func string(_ value: String) {
        separate()
        append(quotedText: value)
    }

    /// Bytes in base64.
    package mutating func base64(_ value: some Collection<UInt8>) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        Base64.append(value, to: &bytes)
        bytes.append(UInt8(ascii: "\""))
        needsComma = true
    }

    /// Ends a line and forgets what came before it.
    package mutating func endLine() {
        bytes.append(UInt8(ascii: "\n"))
        needsComma = false
    }

    /// Begins anew, keeping the memory.
    package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    private mutating func open(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func append(quoted text: StaticString, end: StaticString) {
        bytes.append(addingCapacity: text.utf8CodeUnitCount + 2 + end.utf8CodeUnitCount) { bytes in
            bytes.append(UInt8(ascii: "\""))
            text.withUTF8Buffer { unsafe $0.forEach { byte in bytes.append(byte) } }
            bytes.append(UInt8(ascii: "\""))
            end.withUTF8Buffer { unsafe $0.forEach { byte in bytes.append(byte) } }
        }
    }

    /// Appends `value` as a string if it is UTF-8; appends nothing otherwise.
    private mutating func appendText(_ value: [UInt8]) -> Bool {
        if GuestName.isPlain(value.span) {
            bytes.append(UInt8(ascii: "\""))
            bytes.append(contentsOf: value)
            bytes.append(UInt8(ascii: "\""))
            needsComma = true
            return true
        }
        guard let text = String(validating: value, as: UTF8.self) else { return false }
        append(quotedText: text)
        return true
    }

    private mutating func append(quotedText text: String) {
        bytes.append(UInt8(ascii: "\""))
        if GuestName.isPlain(text.utf8Span.span) {
            bytes.append(contentsOf: text.utf8)
            bytes.append(UInt8(ascii: "\""))
            needsComma = true
            return
        }
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\":
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(UInt8(ascii: scalar))
            case _ where scalar.isASCII && scalar.value >= 0x20 && scalar.value < 0x7F:
                bytes.append(UInt8(ascii: scalar))
            case _ where GuestName.isHarmless(scalar):
                bytes.append(contentsOf: Array(Character(scalar).utf8))
            default:
                // A terminal that JSON is printed on must not act on it either.
                for unit in UTF16.encode(scalar)?.map(\.self) ?? [] { append(escaped: unit) }
            }
        }
        bytes.append(UInt8(ascii: "\""))
        needsComma = true
    }

    private mutating func append(escaped unit: UInt16) {
        bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "u")])
        for shift: UInt16 in [12, 8, 4, 0] {
            let digit = UInt8(unit >> shift & 15)
            bytes.append(digit + (digit < 10 ? 48 : 87))
        }
    }
}
