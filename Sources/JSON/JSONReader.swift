extension JSONValue {
    /// Reads exactly one JSON text (RFC 8259), and accepts less than that allows.
    ///
    /// Refused are: names that occur twice in an object, text that is not UTF-8, lone surrogates,
    /// numbers that are not whole or do not fit 64 bits, `-0`, more than ``JSONReader/depthMax``
    /// levels, a byte order mark, and anything after the value but white space. Readers differ on all
    /// of these, and what is signed must mean the same to everybody.
    package init(_ bytes: [UInt8]) throws(JSONError) {
        var reader = JSONReader(bytes)
        self = try reader.text()
    }
}

/// Reads JSON from bytes.
struct JSONReader {
    private let bytes: [UInt8]
    private var position = 0

    /// How deep objects and lists may stand in each other.
    static let depthMax = 32

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func text() throws(JSONError) -> JSONValue {
        let value = try value(depth: 0)
        skipSpace()
        guard position == bytes.count else { throw error("there is more after the end") }
        return value
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        guard depth < Self.depthMax else { throw error("it is nested too deeply") }
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .boolean(true))
        case UInt8(ascii: "f"): return try word("false", .boolean(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return .integer(try integer())
        }
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        position += 1
        var members: [JSONValue.Member] = []
        var names: Set<[UInt8]> = []
        skipSpace()
        if take("}") { return .object(members) }
        repeat {
            skipSpace()
            let start = position
            guard peek == UInt8(ascii: "\"") else { throw error("a name is missing") }
            let name = try string()
            // Byte for byte: to Swift, texts that look alike are equal.
            guard names.insert(Array(name.utf8)).inserted else {
                throw JSONError("\"\(name)\" occurs twice", at: start)
            }
            skipSpace()
            guard take(":") else { throw error("a colon is missing") }
            members.append(JSONValue.Member(name: name, value: try value(depth: depth + 1)))
            skipSpace()
        } while take(",")
        guard take("}") else { throw error("an object does not end") }
        return .object(members)
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        position += 1
        var values: [JSONValue] = []
        skipSpace()
        if take("]") { return .array(values) }
        repeat {
            values.append(try value(depth: depth + 1))
            skipSpace()
        } while take(",")
        guard take("]") else { throw error("a list does not end") }
        return .array(values)
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
        guard bytes[position...].starts(with: word.utf8) else { throw error("no value") }
        position += word.utf8.count
        return value
    }

    private mutating func integer() throws(JSONError) -> Int64 {
        let start = position
        if peek == UInt8(ascii: "-") { position += 1 }
        let digits = bytes[position...].prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        position += digits.count
        let isPadded = digits.count > 1 && digits.first == UInt8(ascii: "0")
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard !digits.isEmpty, !isPadded, text != "-0", let number = Int64(text) else {
            throw JSONError(digits.isEmpty ? "no value" : "no whole number of 64 bits", at: start)
        }
        if let next = peek,
            [UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E")].contains(next)
        {
            throw error("only whole numbers are read")
        }
        return number
    }

    private mutating func string() throws(JSONError) -> String {
        let start = position
        position += 1
        var text: [UInt8] = []
        while let byte = peek {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else {
                    throw JSONError("a text is not UTF-8", at: start)
                }
                return string
            case UInt8(ascii: "\\"):
                try escape(into: &text)
            case ..<0x20:
                throw error("a control character stands in a text")
            default:
                text.append(byte)
            }
        }
        throw JSONError("a text does not end", at: start)
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        guard let byte = peek else { return }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(8)
        case UInt8(ascii: "f"): text.append(12)
        case UInt8(ascii: "n"): text.append(10)
        case UInt8(ascii: "r"): text.append(13)
        case UInt8(ascii: "t"): text.append(9)
        case UInt8(ascii: "u"): text += Array(String(try scalar()).utf8)
        default: throw error("an unknown escape")
        }
    }

    private mutating func scalar() throws(JSONError) -> Unicode.Scalar {
        var value = try unit()
        if 0xD800..<0xDC00 ~= value {
            guard take("\\"), take("u") else { throw error("half a surrogate pair") }
            let low = try unit()
            guard 0xDC00..<0xE000 ~= low else { throw error("half a surrogate pair") }
            value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(value) else { throw error("half a surrogate pair") }
        return scalar
    }

    private mutating func unit() throws(JSONError) -> UInt32 {
        let digits = bytes[position...].prefix(4)
        guard digits.count == 4, digits.allSatisfy(\.isHexDigit),
            let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw error("four hexadecimal digits are missing") }
        position += 4
        return value
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek, [0x20, 0x0A, 0x0D, 0x09].contains(byte) { position += 1 }
    }

    private func error(_ reason: String) -> JSONError { JSONError(reason, at: position) }
}

extension UInt8 {
    fileprivate var isHexDigit: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }
}
