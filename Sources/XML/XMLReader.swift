extension XMLElement {
    /// The largest text that is read, in bytes.
    package static let byteCountMax = 8 << 20
    /// How many elements may stand in each other.
    package static let depthMax = 64
    /// The most elements, attributes, comments and processing instructions together.
    package static let nodesMax = 200_000

    /// Reads exactly one XML 1.0 document with namespaces, in UTF-8, as libvirt writes it.
    ///
    /// Comments and processing instructions are passed over. Refused, with the byte at which it was
    /// noticed: what is not well-formed, a DOCTYPE and with it every entity but the five that XML
    /// itself has, another encoding or version, a byte order mark, attributes that occur twice,
    /// prefixes that nobody declared, and what exceeds ``byteCountMax``, ``depthMax`` or
    /// ``nodesMax``.
    ///
    /// It is our own because the program that reads disks is one static file of memory-safe code:
    /// libxml2 would be the only foreign parser in it, with a hundred times the grammar, and what
    /// libvirt writes is a small part of XML.
    package init(_ bytes: [UInt8]) throws(XMLError) {
        var reader = XMLReader(bytes)
        self = try reader.document()
    }

    /// The same from a text.
    package init(_ text: String) throws(XMLError) { try self.init(Array(text.utf8)) }
}

/// Reads XML from bytes; open elements are on a list, so that nothing recurses.
struct XMLReader {
    /// An element whose end tag is still to come.
    struct Open {
        /// The name as it is written, which the end tag repeats.
        let tag: ArraySlice<UInt8>
        let name: XMLName
        let attributes: [XMLElement.Attribute]
        /// The prefixes that it declares.
        let declared: [[UInt8]]
        var children: [XMLElement] = []
        var text: [UInt8] = []
    }

    let bytes: [UInt8]
    var position = 0
    private var nodes = 0
    private var open: [Open] = []
    private var root: XMLElement?
    /// What each prefix stands for, the innermost last; nil where a default namespace is undone.
    var namespaces: [[UInt8]: [String?]] = [
        Array("xml".utf8): ["http://www.w3.org/XML/1998/namespace"]
    ]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(XMLError) -> XMLElement {
        try checkCharacters()
        try declaration()
        while true {
            if open.isEmpty {
                skipSpace()
                if position == bytes.count { break }
                guard peek == UInt8(ascii: "<") else { throw error("text stands outside") }
            } else {
                try text()
            }
            try markup()
        }
        guard let root else { throw error("there is no element") }
        return root
    }

    /// What begins with `<`; nothing but elements is kept.
    private mutating func markup() throws(XMLError) {
        if take("<!--") {
            try skip(past: "--", "a comment does not end")
            guard take(">") else { throw error("two hyphens stand in a comment") }
            try countNode()
        } else if !open.isEmpty, take("<![CDATA[") {
            let start = position
            try skip(past: "]]>", "a CDATA section does not end")
            append(text: bytes[start..<(position - 3)])
        } else if starts(with: "<!") {
            throw error("a declaration stands here; no DOCTYPE or other declaration is read")
        } else if take("<?") {
            try instruction()
        } else if take("</") {
            try endTag()
        } else {
            guard open.count < XMLElement.depthMax else {
                throw error("it is nested more than \(XMLElement.depthMax) levels deep")
            }
            guard root == nil else { throw error("there is more after the end") }
            try startTag()
        }
    }

    private mutating func instruction() throws(XMLError) {
        let start = position
        let target = try word()
        guard !target.contains(UInt8(ascii: ":")) else {
            throw XMLError("a name has a colon where none can be", at: start)
        }
        guard !target.elementsEqual("xml".utf8, by: { $0 | 0x20 == $1 }) else {
            throw XMLError("an XML declaration does not stand first", at: start)
        }
        guard starts(with: "?>") || skipSpace() else {
            throw error("the name of a processing instruction does not end")
        }
        try skip(past: "?>", "a processing instruction does not end")
        try countNode()
    }

    private mutating func startTag() throws(XMLError) {
        position += 1
        try countNode()
        let start = position
        let tag = try qualifiedName()
        var written: [WrittenAttribute] = []
        var isEmpty = false
        while true {
            let hasSpace = skipSpace()
            if take(">") { break }
            isEmpty = take("/>")
            if isEmpty { break }
            guard hasSpace, peek != nil else { throw error("a tag does not end") }
            try countNode()
            written.append(try attribute())
        }
        let (attributes, declared) = try resolve(written)
        let name = try resolve(tag, at: start, isAttribute: false)
        open.append(
            Open(tag: tag.written, name: name, attributes: attributes, declared: declared)
        )
        if isEmpty { try close() }
    }

    private mutating func endTag() throws(XMLError) {
        let start = position
        let tag = try qualifiedName().written
        skipSpace()
        guard take(">") else { throw error("an end tag does not end") }
        guard let expected = open.last?.tag, tag == expected else {
            throw XMLError("an end tag stands here that nothing began", at: start)
        }
        try close()
    }

    private mutating func close() throws(XMLError) {
        guard let last = open.popLast() else { return }
        for prefix in last.declared {
            _ = namespaces[prefix]?.popLast()
        }
        let element = XMLElement(
            name: last.name,
            attributes: last.attributes,
            children: last.children,
            text: String(decoding: last.text, as: UTF8.self)
        )
        if open.isEmpty { root = element } else { open[open.count - 1].children.append(element) }
    }

    /// The text up to the next `<`, for the innermost element.
    private mutating func text() throws(XMLError) {
        let start = position
        var run = position
        while let byte = peek, byte != UInt8(ascii: "<") {
            if byte == UInt8(ascii: "&") {
                append(text: bytes[run..<position])
                let character = try reference()
                open[open.count - 1].text += character
                run = position
                continue
            }
            if byte == UInt8(ascii: ">"), position - start >= 2,
                bytes[(position - 2)..<position].elementsEqual("]]".utf8)
            {
                throw error("]]> stands in a text")
            }
            position += 1
        }
        append(text: bytes[run..<position])
        guard peek != nil else { throw error("an element does not end") }
    }

    /// Lines end with a line feed, however they were written (XML 1.0, 2.11).
    private mutating func append(text: ArraySlice<UInt8>) {
        guard text.contains(0x0D) else {
            open[open.count - 1].text += text
            return
        }
        open[open.count - 1].text += Self.lines(text, end: 0x0A)
    }

    /// `text` with `end` for each carriage return, with or without a line feed after it.
    static func lines(_ text: ArraySlice<UInt8>, end: UInt8) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var wasReturn = false
        for byte in text {
            if byte == 0x0D {
                result.append(end)
            } else if byte != 0x0A || !wasReturn {
                result.append(byte)
            }
            wasReturn = byte == 0x0D
        }
        return result
    }

    private mutating func countNode() throws(XMLError) {
        nodes += 1
        guard nodes <= XMLElement.nodesMax else {
            throw error("it has more than \(XMLElement.nodesMax) elements and attributes")
        }
    }
}
