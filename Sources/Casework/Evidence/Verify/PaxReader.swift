internal import DiskFormats

/// Reads files.tar, and accepts nothing but what ``ArchiveFile`` writes.
///
/// An entry is a ustar block, before it a block of type `x` with pax records where they are needed.
/// Global headers, GNU's own types, names of owners and records that nobody here writes are refused:
/// another reader could take them for something else than what is compared.
struct PaxReader {
    private let reader: PartReader

    init(_ reader: PartReader) { self.reader = reader }

    /// The next entry; nil at the blocks that end the archive, which are read as well.
    func next() throws(BagStop) -> PaxEntry? {
        let offset = reader.position
        var block = try header()
        guard let first = block else {
            try end(from: offset)
            return nil
        }
        var records = PaxRecords()
        if first.type == UInt8(ascii: "x") {
            records = try self.records(first, at: offset)
            block = try header()
        }
        guard let block else { throw fault(offset, "a pax header is followed by no entry") }
        do throws(PaxFailure) { return try PaxEntry(block, records, at: offset) } catch {
            throw fault(offset, error.reason)
        }
    }

    private func fault(_ offset: UInt64, _ reason: String) -> BagStop {
        .fault(.byte(.archive, offset), reason)
    }

    /// A block with the right sum; nil for one of zeros.
    private func header() throws(BagStop) -> UstarBlock? {
        let offset = reader.position
        let bytes = try reader.bytes(UstarBlock.byteCount)
        if bytes == UstarBlock.zeros { return nil }
        do throws(PaxFailure) { return try UstarBlock(bytes) } catch {
            throw fault(offset, error.reason)
        }
    }

    private func records(_ block: UstarBlock, at offset: UInt64) throws(BagStop) -> PaxRecords {
        guard let size = block.octal(.size), size <= PaxRecords.byteCountMax else {
            throw fault(offset, "a pax header is too large")
        }
        let text = try reader.bytes(Int(size))
        try reader.zeros((512 - size % 512) % 512, "the padding of a pax header")
        do throws(PaxFailure) { return try PaxRecords(text) } catch {
            throw fault(offset, error.reason)
        }
    }

    /// The first block of zeros was read: another, and zeros up to 10,240 bytes.
    private func end(from offset: UInt64) throws(BagStop) {
        let used = offset + 1_024
        let total = used + (10_240 - used % 10_240) % 10_240
        guard reader.position + reader.rest == total else {
            throw fault(offset, "the archive ends here, but the file does not, or too early")
        }
        try reader.zeros(reader.rest, "what follows the last entry")
    }
}

/// A block of 512 bytes as POSIX.1-2008, ustar interchange format, lays it out.
struct UstarBlock {
    static let byteCount = 512
    static let zeros = [UInt8](repeating: 0, count: byteCount)
    private let bytes: [UInt8]

    enum Field {
        case name, mode, user, group, size, modified, link, major, minor, prefix

        var range: Range<Int> {
            switch self {
            case .name: 0..<100
            case .mode: 100..<108
            case .user: 108..<116
            case .group: 116..<124
            case .size: 124..<136
            case .modified: 136..<148
            case .link: 157..<257
            case .major: 329..<337
            case .minor: 337..<345
            case .prefix: 345..<500
            }
        }
    }

    init(_ bytes: [UInt8]) throws(PaxFailure) {
        self.bytes = bytes
        guard bytes.count == Self.byteCount else { throw PaxFailure("a header is cut off") }
        guard bytes[257..<265].elementsEqual(Array("ustar\0".utf8) + Array("00".utf8)) else {
            throw PaxFailure("here is no header of a pax archive")
        }
        var sum: UInt32 = 8 * 0x20
        for index in 0..<148 { sum += UInt32(bytes[index]) }
        for index in 156..<Self.byteCount { sum += UInt32(bytes[index]) }
        let digits = Array(String(sum, radix: 8).utf8)
        let padded = [UInt8](repeating: 0x30, count: 6 - digits.count) + digits
        guard bytes[148..<156].elementsEqual(padded + [0, 0x20]) else {
            throw PaxFailure("the checksum of a header is wrong")
        }
        guard bytes[265..<329].allSatisfy({ $0 == 0 }), bytes[500...].allSatisfy({ $0 == 0 })
        else { throw PaxFailure("a header has names of owners, or something after its end") }
    }

    var type: UInt8 { bytes[156] }

    /// The bytes of a field up to its first NUL; nil where something stands behind that.
    func text(_ field: Field) -> [UInt8]? {
        let all = bytes[field.range]
        let text = all.prefix { $0 != 0 }
        return all[text.endIndex...].allSatisfy { $0 == 0 } ? Array(text) : nil
    }

    /// An octal number that fills its field but for blanks and NULs at the end.
    func octal(_ field: Field) -> UInt64? {
        let digits = bytes[field.range].prefix { 0x30...0x37 ~= $0 }
        let rest = bytes[digits.endIndex..<field.range.upperBound]
        guard !digits.isEmpty, rest.allSatisfy({ $0 == 0 || $0 == 0x20 }) else { return nil }
        return digits.reduce(UInt64(0)) { $0 << 3 | UInt64($1 - 0x30) }
    }
}

extension PaxEntry {
    /// An entry from its block and the pax records before it.
    init(_ block: UstarBlock, _ all: PaxRecords, at offset: UInt64) throws(PaxFailure) {
        var records = all
        guard let kind = Kind(rawValue: block.type) else {
            let letter = GuestName.escaped([block.type])
            throw PaxFailure("an entry has the type \"\(letter)\", which is not written here")
        }
        func number(_ keyword: String, _ field: UstarBlock.Field) throws(PaxFailure) -> UInt64 {
            if let number = try records.number(keyword) { return number }
            guard let number = block.octal(field) else {
                throw PaxFailure("\(keyword) of an entry is no octal number")
            }
            return number
        }
        self.kind = kind
        self.offset = offset
        user = try number("uid", .user)
        group = try number("gid", .group)
        storedSize = try number("size", .size)
        guard kind == .file || storedSize == 0 else {
            throw PaxFailure("an entry that is no file has content")
        }
        guard let mode = block.octal(.mode), mode <= 0o7777 else {
            throw PaxFailure("the mode of an entry is no octal number of four digits")
        }
        self.mode = UInt16(mode)
        modified = try Self.time(block, &records)
        realSize = try Self.sparse(&records, kind)
        path = try Self.path(block, &records, kind, isSparse: realSize != nil)
        link = try Self.link(block, &records, kind)
        let isDevice = kind == .block || kind == .character
        major = isDevice ? try number("SCHILY.devmajor", .major) : 0
        minor = isDevice ? try number("SCHILY.devminor", .minor) : 0
        if let set = records.take("hdrcharset"), !set.elementsEqual("BINARY".utf8) {
            throw PaxFailure("hdrcharset of a pax header is not BINARY")
        }
        attributes = records.values
        let known = [Array("SCHILY.xattr.".utf8), Array("SCHILY.acl.".utf8)]
        if let unknown = attributes.keys.first(where: { key in
            !known.contains { key.starts(with: $0) }
        }) {
            throw PaxFailure("a pax header has \(GuestName.escaped(unknown)), not written here")
        }
    }

    private static func time(
        _ block: UstarBlock,
        _ records: inout PaxRecords
    ) throws(PaxFailure) -> Timestamp {
        if let text = records.take("mtime") {
            guard let time = PaxRecords.time(text) else {
                throw PaxFailure("mtime of a pax header is no time")
            }
            return time
        }
        guard let seconds = block.octal(.modified) else {
            throw PaxFailure("the time of an entry is no octal number")
        }
        return Timestamp(seconds: Int64(seconds))
    }

    /// The size of a file with holes; nil where it has none.
    private static func sparse(
        _ records: inout PaxRecords,
        _ kind: Kind
    ) throws(PaxFailure) -> UInt64? {
        let major = try records.number("GNU.sparse.major")
        let minor = try records.number("GNU.sparse.minor")
        let size = try records.number("GNU.sparse.realsize")
        if major == nil, minor == nil, size == nil { return nil }
        guard major == 1, minor == 0, let size, kind == .file else {
            throw PaxFailure("an entry is sparse in a way that is not written here")
        }
        return size
    }

    private static func path(
        _ block: UstarBlock,
        _ records: inout PaxRecords,
        _ kind: Kind,
        isSparse: Bool
    ) throws(PaxFailure) -> [UInt8] {
        let sparseName = records.take("GNU.sparse.name")
        guard (sparseName != nil) == isSparse else {
            throw PaxFailure("GNU.sparse.name stands where it does not belong, or is missing")
        }
        let paxPath = records.take("path")
        var path: [UInt8]
        if let named = sparseName ?? paxPath {
            path = named
        } else {
            guard let name = block.text(.name), let prefix = block.text(.prefix) else {
                throw PaxFailure("the path of an entry has bytes behind its end")
            }
            path = prefix.isEmpty ? name : prefix + [0x2F] + name
        }
        if kind == .directory {
            guard path.last == 0x2F else { throw PaxFailure("a directory's path ends without /") }
            path.removeLast()
        }
        guard isInside(path) else {
            throw PaxFailure("\(GuestName.escaped(path)) is not a path inside the archive")
        }
        return path
    }

    /// Whether a reader that unpacks `path` stays where it is.
    private static func isInside(_ path: [UInt8]) -> Bool {
        guard !path.contains(0) else { return false }
        return path.split(separator: 0x2F, omittingEmptySubsequences: false).allSatisfy {
            !$0.isEmpty && !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8)
        }
    }

    private static func link(
        _ block: UstarBlock,
        _ records: inout PaxRecords,
        _ kind: Kind
    ) throws(PaxFailure) -> [UInt8] {
        let long = records.take("linkpath")
        let short = block.text(.link)
        guard kind == .symbolicLink || kind == .hardLink else {
            guard long == nil, short == [] else {
                throw PaxFailure("an entry that is no link has a target")
            }
            return []
        }
        guard let link = long ?? short, !link.isEmpty, !link.contains(0) else {
            throw PaxFailure("a link has no target")
        }
        if kind == .hardLink, !isInside(link) {
            throw PaxFailure("\(GuestName.escaped(link)) is not a path inside the archive")
        }
        return link
    }
}
