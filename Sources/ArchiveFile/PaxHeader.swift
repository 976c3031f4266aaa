/// The records of a pax extended header, as POSIX.1-2008 lays them out for `pax`: each is its own
/// length in decimal, a blank, keyword, `=`, value and a newline.
///
/// libarchive writes these headers, with every name marked as binary; that is put right here.
struct PaxHeader {
    private var records: [(keyword: [UInt8], value: [UInt8])] = []
    /// The block of type `x` before the records.
    private let block: [UInt8]
    /// What follows the records: the entry's own block, and the map of a sparse file.
    private let rest: [UInt8]

    /// Reads the header blocks of one entry; nil where they have no extended header.
    init?(_ blocks: [UInt8]) {
        guard blocks.count > 1_024, blocks[156] == UInt8(ascii: "x"),
            let size = Int(String(decoding: blocks[124..<135], as: UTF8.self), radix: 8),
            blocks.count >= 512 + Self.padded(size)
        else { return nil }
        block = Array(blocks[..<512])
        rest = Array(blocks[(512 + Self.padded(size))...])
        var text = blocks[512..<(512 + size)]
        while !text.isEmpty {
            let digits = text.prefix { $0 != UInt8(ascii: " ") }
            guard let length = Int(String(decoding: digits, as: UTF8.self)), length <= text.count,
                length > digits.count + 2
            else { return nil }
            let record = text.prefix(length - 1).dropFirst(digits.count + 1)
            guard let separator = record.firstIndex(of: UInt8(ascii: "=")) else { return nil }
            records.append((Array(record[..<separator]), Array(record[(separator + 1)...])))
            text = text.dropFirst(length)
        }
    }

    /// Whether there is a record of that keyword.
    func has(_ keyword: String) -> Bool {
        records.contains { $0.keyword.elementsEqual(keyword.utf8) }
    }

    /// Gives the record of that keyword another value, if there is one.
    mutating func replace(_ keyword: String, _ value: [UInt8]) {
        for index in records.indices where records[index].keyword.elementsEqual(keyword.utf8) {
            records[index].value = value
        }
    }

    /// Takes the records of that keyword out.
    mutating func remove(_ keyword: String) {
        records.removeAll { $0.keyword.elementsEqual(keyword.utf8) }
    }

    /// The header blocks with these records; without an extended header where there are none.
    var blocks: [UInt8] {
        guard !records.isEmpty else { return rest }
        let text = records.flatMap { Self.record($0.keyword, $0.value) }
        var header = block
        header.replaceSubrange(124..<136, with: Self.octal(text.count, digits: 11) + [0])
        header.replaceSubrange(148..<156, with: repeatElement(UInt8(ascii: " "), count: 8))
        let sum = header.reduce(0) { $0 + Int($1) }
        header.replaceSubrange(
            148..<156,
            with: Self.octal(sum, digits: 6) + [0, UInt8(ascii: " ")]
        )
        let padding = repeatElement(UInt8(0), count: Self.padded(text.count) - text.count)
        return header + text + padding + rest
    }

    private static func padded(_ size: Int) -> Int { (size + 511) / 512 * 512 }

    private static func octal(_ value: Int, digits: Int) -> [UInt8] {
        let text = String(value, radix: 8)
        return Array((String(repeating: "0", count: max(0, digits - text.utf8.count)) + text).utf8)
    }

    private static func record(_ keyword: [UInt8], _ value: [UInt8]) -> [UInt8] {
        let body =
            [UInt8(ascii: " ")] + keyword + [UInt8(ascii: "=")] + value + [UInt8(ascii: "\n")]
        var length = body.count + 1
        while String(length).utf8.count + body.count != length {
            length = String(length).utf8.count + body.count
        }
        return Array(String(length).utf8) + body
    }
}

extension PaxHeader {
    /// The header blocks of `entry` as they are to be; nil where `blocks` are that already.
    ///
    /// - The mark `hdrcharset=BINARY` stays where a name is not UTF-8, and where readers that use
    ///   libarchive would compose it, so that `e` with a combining accent becomes another name.
    /// - A sparse file whose path is longer than 100 bytes gets its abbreviated path as
    ///   `GNU.sparse.name`, which is where readers take the path from (seen in 3.6.2).
    static func mended(_ blocks: [UInt8], of entry: ArchiveEntry) -> [UInt8]? {
        guard var header = PaxHeader(blocks) else { return nil }
        let isBinary = entry.names.contains { !$0.allSatisfy { $0 < 0x80 } && mustStay($0) }
        if !isBinary { header.remove("hdrcharset") }
        let isSparse = header.has("GNU.sparse.name")
        if isSparse { header.replace("GNU.sparse.name", entry.path) }
        return isBinary && !isSparse ? nil : header.blocks
    }

    private static func mustStay(_ name: [UInt8]) -> Bool {
        String(validating: name, as: UTF8.self) == nil || composes(name)
    }

    /// Whether composition could make another name of `name`: what joins with the character before
    /// it is a mark, or a vowel or final consonant of Hangul (Unicode 16, section 3.12).
    private static func composes(_ name: [UInt8]) -> Bool {
        String(decoding: name, as: UTF8.self).unicodeScalars.contains { scalar in
            switch scalar.properties.generalCategory {
            case .nonspacingMark, .spacingMark: true
            default: 0x1161...0x1175 ~= scalar.value || 0x11A8...0x11C2 ~= scalar.value
            }
        }
    }
}

extension ArchiveEntry {
    /// All names in it: its path, and what it leads to.
    fileprivate var names: [[UInt8]] {
        switch kind {
        case .symbolicLink(let name), .hardLink(let name): [path, name]
        case .file, .directory, .device, .fifo: [path]
        }
    }
}
