extension XMLReader {
    /// A name with at most one colon in it.
    struct QualifiedName {
        /// The whole name.
        let written: ArraySlice<UInt8>
        /// What stands before the colon; empty where there is none.
        let prefix: ArraySlice<UInt8>
        let local: ArraySlice<UInt8>
    }

    /// An attribute whose prefix is still to be resolved.
    struct WrittenAttribute {
        let name: QualifiedName
        let value: String
        let offset: Int
    }

    var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    func error(_ reason: String) -> XMLError { XMLError(reason, at: position) }

    func starts(with text: String) -> Bool { bytes[position...].starts(with: text.utf8) }

    mutating func take(_ text: String) -> Bool {
        guard starts(with: text) else { return false }
        position += text.utf8.count
        return true
    }

    /// Goes behind the next `end`.
    mutating func skip(past end: String, _ otherwise: String) throws(XMLError) {
        while position < bytes.count {
            if take(end) { return }
            position += 1
        }
        throw error(otherwise)
    }

    /// Whether there was white space here.
    @discardableResult
    mutating func skipSpace() -> Bool {
        let start = position
        while let byte = peek, Self.isSpace(byte) { position += 1 }
        return position > start
    }

    static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
    }

    /// Refuses what is too long, is not UTF-8, or has a character that XML does not allow.
    func checkCharacters() throws(XMLError) {
        guard bytes.count <= XMLElement.byteCountMax else {
            throw XMLError(
                "it is longer than \(XMLElement.byteCountMax) bytes",
                at: XMLElement.byteCountMax
            )
        }
        do throws(UTF8.ValidationError) { _ = try UTF8Span(validating: bytes.span) } catch {
            throw XMLError("it is not UTF-8", at: error.byteOffsets.lowerBound)
        }
        for index in bytes.indices {
            let byte = bytes[index]
            if byte >= 0x20, byte < 0xBE || byte > 0xBF { continue }
            // U+FFFE and U+FFFF.
            let isNone =
                byte >= 0xBE && index >= 2 && bytes[index - 1] == 0xBF && bytes[index - 2] == 0xEF
            guard Self.isSpace(byte) || byte >= 0xBE, !isNone else {
                throw XMLError("a character that XML does not allow stands here", at: index)
            }
        }
    }

    /// The XML declaration, if there is one.
    mutating func declaration() throws(XMLError) {
        guard starts(with: "<?xml"), bytes.count > 5, Self.isSpace(bytes[5]) else { return }
        position = 5
        var names: [String] = []
        while true {
            let hasSpace = skipSpace()
            if take("?>") { break }
            guard hasSpace, peek != nil else { throw error("the XML declaration does not end") }
            let (start, name) = (position, String(decoding: try word(), as: UTF8.self))
            let value = try assigned()
            let isKnown =
                switch name {
                case "version": value == "1.0"
                case "encoding": value.lowercased() == "utf-8"
                case "standalone": ["yes", "no"].contains(value)
                default: false
                }
            guard isKnown else {
                throw XMLError("it is not XML 1.0 in UTF-8: \(name) is \(value)", at: start)
            }
            names.append(name)
        }
        let known = ["version", "encoding", "standalone"]
        guard names.first == "version", names == known.filter(names.contains) else {
            throw XMLError("its XML declaration is not one", at: 0)
        }
    }

    // MARK: - Names

    /// A name, colons and all.
    mutating func word() throws(XMLError) -> ArraySlice<UInt8> {
        let start = position
        guard let first = scalar(at: position), Self.canBegin(first.value) else {
            throw error("a name is missing")
        }
        while let next = scalar(at: position), Self.canContinue(next.value) {
            position += next.length
        }
        return bytes[start..<position]
    }

    mutating func qualifiedName() throws(XMLError) -> QualifiedName {
        let start = position
        let written = try word()
        guard let colon = written.firstIndex(of: UInt8(ascii: ":")) else {
            return QualifiedName(written: written, prefix: [], local: written)
        }
        let local = written[(colon + 1)...]
        guard colon > start, !local.contains(UInt8(ascii: ":")),
            let first = scalar(at: colon + 1), !local.isEmpty, Self.canBegin(first.value)
        else { throw XMLError("a name has a colon where none can be", at: start) }
        return QualifiedName(written: written, prefix: written[..<colon], local: local)
    }

    /// The scalar that begins at `offset` of the text, which is known to be UTF-8.
    private func scalar(at offset: Int) -> (value: UInt32, length: Int)? {
        guard offset < bytes.count else { return nil }
        let lead = bytes[offset]
        if lead < 0x80 { return (UInt32(lead), 1) }
        let length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
        guard offset + length <= bytes.count else { return nil }
        var value = UInt32(lead) & (0x7F >> UInt32(length))
        for byte in bytes[(offset + 1)..<(offset + length)] {
            value = value << 6 | UInt32(byte & 0x3F)
        }
        return (value, length)
    }

    /// XML 1.0, fifth edition, NameStartChar.
    private static func canBegin(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x3A, 0x41...0x5A, 0x5F, 0x61...0x7A, 0xC0...0xD6, 0xD8...0xF6, 0xF8...0x2FF,
            0x370...0x37D, 0x37F...0x1FFF, 0x200C...0x200D, 0x2070...0x218F, 0x2C00...0x2FEF,
            0x3001...0xD7FF, 0xF900...0xFDCF, 0xFDF0...0xFFFD, 0x10000...0xEFFFF:
            true
        default: false
        }
    }

    /// XML 1.0, fifth edition, NameChar.
    private static func canContinue(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x2D, 0x2E, 0x30...0x39, 0xB7, 0x300...0x36F, 0x203F...0x2040: true
        default: canBegin(scalar)
        }
    }
}
