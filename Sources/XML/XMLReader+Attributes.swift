extension XMLReader {
    mutating func attribute() throws(XMLError) -> WrittenAttribute {
        let start = position
        let name = try qualifiedName()
        return WrittenAttribute(name: name, value: try assigned(), offset: start)
    }

    /// An equals sign and the quoted value after it, white space normalised (XML 1.0, 3.3.3).
    mutating func assigned() throws(XMLError) -> String {
        skipSpace()
        guard take("=") else { throw error("an equals sign is missing") }
        skipSpace()
        guard let quote = peek, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
            throw error("a quotation mark is missing")
        }
        position += 1
        var value: [UInt8] = []
        while let byte = peek, byte != quote {
            switch byte {
            case UInt8(ascii: "<"): throw error("< stands in the value of an attribute")
            case UInt8(ascii: "&"):
                let character = try reference()
                value += character
            case 0x0A where bytes[position - 1] == 0x0D:
                position += 1
            default:
                value.append(Self.isSpace(byte) ? 0x20 : byte)
                position += 1
            }
        }
        guard peek == quote else { throw error("the value of an attribute does not end") }
        position += 1
        return String(decoding: value, as: UTF8.self)
    }

    /// The character that a reference stands for.
    mutating func reference() throws(XMLError) -> [UInt8] {
        let start = position
        for (name, character) in Self.entities where take(name) { return [UInt8(ascii: character)] }
        guard take("&#") else { throw error("an entity stands here that XML itself does not have") }
        let radix: UInt32 = take("x") ? 16 : 10
        var value: UInt32 = 0
        var digits = 0
        while let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue,
            digit < radix
        {
            // Past the last character it only has to stay there.
            value = min(value * radix + UInt32(digit), 0x11_0000)
            digits += 1
            position += 1
        }
        guard digits > 0, take(";") else { throw error("a reference to a character does not end") }
        guard let scalar = Unicode.Scalar(value), Self.isAllowed(scalar) else {
            throw XMLError("a reference leads to no character that XML allows", at: start)
        }
        return Array(String(Character(scalar)).utf8)
    }

    private static let entities: [(String, Unicode.Scalar)] = [
        ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"), ("&apos;", "'"), ("&quot;", "\""),
    ]

    /// XML 1.0, Char.
    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0A, 0x0D, 0x20...0xFFFD, 0x10000...: true
        default: false
        }
    }

    // MARK: - Namespaces

    /// The attributes with their prefixes resolved, and the prefixes that are declared among them.
    mutating func resolve(
        _ written: [WrittenAttribute]
    ) throws(XMLError) -> ([XMLElement.Attribute], declared: [[UInt8]]) {
        var seen: Set<[UInt8]> = []
        var declared: [[UInt8]] = []
        for attribute in written {
            guard seen.insert(Array(attribute.name.written)).inserted else {
                throw XMLError("an attribute occurs twice", at: attribute.offset)
            }
            guard let prefix = Self.declaredPrefix(attribute.name) else { continue }
            try declare(prefix, attribute)
            declared.append(prefix)
        }
        var attributes: [XMLElement.Attribute] = []
        var names: Set<XMLName> = []
        for attribute in written where Self.declaredPrefix(attribute.name) == nil {
            let name = try resolve(attribute.name, at: attribute.offset, isAttribute: true)
            guard names.insert(name).inserted else {
                throw XMLError("an attribute occurs twice, by two prefixes", at: attribute.offset)
            }
            attributes.append(XMLElement.Attribute(name: name, value: attribute.value))
        }
        return (attributes, declared)
    }

    /// The name with what its prefix stands for.
    func resolve(
        _ name: QualifiedName,
        at offset: Int,
        isAttribute: Bool
    ) throws(XMLError) -> XMLName {
        let local = String(decoding: name.local, as: UTF8.self)
        if isAttribute, name.prefix.isEmpty { return XMLName(local) }
        guard let namespace = namespaces[Array(name.prefix)]?.last else {
            if name.prefix.isEmpty { return XMLName(local) }
            throw XMLError("a prefix stands here that nobody declared", at: offset)
        }
        return XMLName(local, in: namespace)
    }

    /// What `xmlns:prefix` declares; empty for `xmlns`, nil for any other attribute.
    private static func declaredPrefix(_ name: QualifiedName) -> [UInt8]? {
        if name.prefix.elementsEqual("xmlns".utf8) { return Array(name.local) }
        return name.written.elementsEqual("xmlns".utf8) ? [] : nil
    }

    /// Namespaces in XML 1.0, 3 and 5: which declarations there can be.
    private mutating func declare(
        _ prefix: [UInt8],
        _ attribute: WrittenAttribute
    ) throws(XMLError) {
        let value = attribute.value
        let isReserved =
            prefix.elementsEqual("xml".utf8) || prefix.elementsEqual("xmlns".utf8)
            || value == "http://www.w3.org/XML/1998/namespace"
            || value == "http://www.w3.org/2000/xmlns/"
        guard !isReserved, prefix.isEmpty || !value.isEmpty else {
            throw XMLError("a prefix is declared that cannot be", at: attribute.offset)
        }
        namespaces[prefix, default: []].append(value.isEmpty ? nil : value)
    }
}
