/// Nova's `disk.info`: which format each disk of an instance has, whatever its content looks like.
///
/// A JSON object of paths to formats, such as `{"/var/lib/nova/instances/…/disk": "qcow2"}`.
/// Anything else is an error: a file that decides how bytes are read is not guessed at.
struct DiskInfo: Equatable {
    /// Why the text is not what it has to be.
    struct ParseError: Error, Equatable {
        let offset: Int
        let expected: String
    }

    /// Path to format, in the order of the file.
    let formats: [(path: String, format: String)]

    static func == (left: DiskInfo, right: DiskInfo) -> Bool {
        left.formats.elementsEqual(right.formats) { $0 == $1 }
    }

    /// Parses the whole text.
    init(_ text: [UInt8]) throws(ParseError) {
        var parser = Parser(text: text)
        formats = try parser.object()
    }

    /// The formats that are stated for the image at `path`: by its path, or else by its base name.
    func formats(of path: String) -> [String] {
        let whole = formats.filter { Array($0.path.utf8) == Array(path.utf8) }
        if !whole.isEmpty { return whole.map(\.format) }
        return formats.filter { Array($0.path.baseName.utf8) == Array(path.baseName.utf8) }
            .map(\.format)
    }
}

/// As much of JSON (RFC 8259) as an object of strings needs.
private struct Parser {
    let text: [UInt8]
    var position = 0

    init(text: [UInt8]) { self.text = text }

    mutating func object() throws(DiskInfo.ParseError) -> [(path: String, format: String)] {
        var members: [(path: String, format: String)] = []
        var known: Set<[UInt8]> = []
        try expect("{")
        if !accept("}") {
            repeat {
                let key = try string()
                try expect(":")
                let value = try string()
                guard known.insert(Array(key.utf8)).inserted else {
                    throw failure("no path twice")
                }
                members.append((key, value))
            } while accept(",")
            try expect("}")
        }
        skipSpace()
        guard position == text.count else { throw failure("nothing after the object") }
        return members
    }

    private mutating func skipSpace() {
        while position < text.count, [0x20, 0x09, 0x0A, 0x0D].contains(text[position]) {
            position += 1
        }
    }

    private mutating func accept(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard position < text.count, text[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(DiskInfo.ParseError) {
        guard accept(character) else { throw failure("\"\(character)\"") }
    }

    private mutating func string() throws(DiskInfo.ParseError) -> String {
        try expect("\"")
        var bytes: [UInt8] = []
        while let byte = next() {
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    throw failure("UTF-8")
                }
                return text
            case UInt8(ascii: "\\"): bytes += try escape()
            case 0..<0x20: throw failure("no control characters")
            default: bytes.append(byte)
            }
        }
        throw failure("the end of the string")
    }

    private mutating func next() -> UInt8? {
        guard position < text.count else { return nil }
        position += 1
        return text[position - 1]
    }

    private mutating func escape() throws(DiskInfo.ParseError) -> [UInt8] {
        switch next() {
        case UInt8(ascii: "\""): return [0x22]
        case UInt8(ascii: "\\"): return [0x5C]
        case UInt8(ascii: "/"): return [0x2F]
        case UInt8(ascii: "u"):
            var unit = try hexUnit()
            var scalar = UInt32(unit)
            if (0xD800..<0xDC00).contains(unit) {
                guard next() == UInt8(ascii: "\\"), next() == UInt8(ascii: "u") else {
                    throw failure("the second half of a surrogate pair")
                }
                unit = try hexUnit()
                guard (0xDC00..<0xE000).contains(unit) else {
                    throw failure("the second half of a surrogate pair")
                }
                scalar = 0x1_0000 + (scalar - 0xD800) << 10 + UInt32(unit) - 0xDC00
            }
            guard let character = Unicode.Scalar(scalar), scalar >= 0x20 else {
                throw failure("a printable character")
            }
            return Array(String(Character(character)).utf8)
        default: throw failure("an escape that a path can have")
        }
    }

    private mutating func hexUnit() throws(DiskInfo.ParseError) -> UInt16 {
        guard text.count - position >= 4 else { throw failure("four hexadecimal digits") }
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = next(), let digit = Character(Unicode.Scalar(byte)).hexDigitValue
            else {
                throw failure("four hexadecimal digits")
            }
            unit = unit << 4 | UInt16(digit)
        }
        return unit
    }

    private func failure(_ expected: String) -> DiskInfo.ParseError {
        DiskInfo.ParseError(offset: position, expected: expected)
    }
}
