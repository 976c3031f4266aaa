internal import DiskFormats
internal import JSON

/// Compares what a record says with an entry of the archive; says the first difference.
struct RecordComparison {
    let record: StatedRecord
    let entry: PaxEntry

    /// What differs in the headers; nil where nothing does.
    var difference: String? {
        let shown = GuestName.escaped(record.path)
        func differs(_ what: String, _ here: String, _ there: String) -> String {
            "\(shown): \(what) is \(here), but \(there) in files.tar"
        }
        if record.path != entry.path {
            return "it describes \(shown), but files.tar has \(GuestName.escaped(entry.path)) here"
        }
        if record.type != entry.kind.name {
            return differs("its type", GuestName.escaped(Array(record.type.utf8)), entry.kind.name)
        }
        let mode = Self.octal(entry.mode)
        if record.mode != mode {
            return differs("its mode", GuestName.escaped(Array(record.mode.utf8)), mode)
        }
        if record.user != entry.user {
            return differs("its owner", "\(record.user)", "\(entry.user)")
        }
        if record.group != entry.group {
            return differs("its group", "\(record.group)", "\(entry.group)")
        }
        if !hasTime { return differs("its time", record.modified, entry.modified.iso8601) }
        if let link = record.link, link != entry.link {
            let (here, there) = (GuestName.escaped(link), GuestName.escaped(entry.link))
            return differs("where it leads", here, there)
        }
        if let device = record.device, device != "\(entry.major):\(entry.minor)" {
            let here = GuestName.escaped(Array(device.utf8))
            return differs("its device", here, "\(entry.major):\(entry.minor)")
        }
        return attributes.map { "\(shown): \($0)" }
    }

    /// What differs in the content; nil where nothing does.
    func difference(_ content: PaxContent) -> String? {
        let shown = GuestName.escaped(record.path)
        if record.size != content.size {
            let size = record.size.map { "\($0)" } ?? "unknown"
            return "\(shown): its size is \(size), but \(content.size) in files.tar"
        }
        let isLarge = content.holes > PaxContent.holesMax
        if record.isDataDigest != isLarge {
            let name = isLarge ? "data_sha256" : "sha256"
            return "\(shown): with holes of \(content.holes) bytes its digest has to be \(name)"
        }
        if record.digest != content.digest {
            return "\(shown): its content does not have the digest that the record states"
        }
        return nil
    }

    private static func octal(_ mode: UInt16) -> String {
        let digits = String(mode, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
    }

    /// A tar cannot hold the fraction of the last second before 1970: there it is not compared.
    private var hasTime: Bool {
        if record.modified == entry.modified.iso8601 { return true }
        return entry.modified == Timestamp(seconds: -1)
            && record.modified.hasPrefix("1969-12-31T23:59:59.")
    }

    /// What differs in the attributes: those of the record, as they would be written.
    private var attributes: String? {
        var left = entry.attributes
        for (name, value) in record.attributes {
            let shown = GuestName.escaped(name)
            if let list = AccessList(attribute: name) {
                guard let text = left.removeValue(forKey: Array(list.keyword.utf8)),
                    let entries = AccessList.entries(value),
                    entries.sorted() == AccessList.entries(text: text).sorted()
                else { return "its access list \(shown) is not the one in files.tar" }
            } else {
                let keyword = Array("SCHILY.xattr.".utf8) + Self.encoded(name)
                guard left.removeValue(forKey: keyword) == value else {
                    return "its attribute \(shown) is not the one in files.tar"
                }
            }
        }
        guard let more = left.keys.min(by: { $0.lexicographicallyPrecedes($1) }) else { return nil }
        return "files.tar has \(GuestName.escaped(more)), which the record lacks"
    }

    /// A name as libarchive writes it into a keyword: `%XX` for all that could be mistaken there.
    private static func encoded(_ name: [UInt8]) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        let special = [UInt8(ascii: "%"), UInt8(ascii: "=")]
        return name.flatMap { byte -> [UInt8] in
            if 33...126 ~= byte, !special.contains(byte) { return [byte] }
            return [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
}

/// The two access lists of a file, which a tar holds as text.
private enum AccessList: String {
    case access = "system.posix_acl_access"
    case fallback = "system.posix_acl_default"

    init?(attribute name: [UInt8]) {
        guard let text = String(validating: name, as: UTF8.self) else { return nil }
        self.init(rawValue: text)
    }

    var keyword: String { self == .access ? "SCHILY.acl.access" : "SCHILY.acl.default" }

    /// The entries of the attribute as text: a version, then eight bytes each (Linux
    /// `include/uapi/linux/posix_acl_xattr.h`, little-endian).
    static func entries(_ value: [UInt8]) -> [String]? {
        guard value.count >= 4, value.count % 8 == 4, value[..<4].elementsEqual([2, 0, 0, 0])
        else { return nil }
        var entries: [String] = []
        for start in stride(from: 4, to: value.count, by: 8) {
            let tag = UInt16(value[start]) | UInt16(value[start + 1]) << 8
            let id = (0..<4).reduce(UInt32(0)) { $0 | UInt32(value[start + 4 + $1]) << (8 * $1) }
            guard let name = name(tag, id) else { return nil }
            let bits = value[start + 2]
            let permissions = [(4, "r"), (2, "w"), (1, "x")]
                .map { bits & UInt8($0.0) != 0 ? $0.1 : "-" }.joined()
            entries.append("\(name):\(permissions)")
        }
        return entries
    }

    private static func name(_ tag: UInt16, _ id: UInt32) -> String? {
        switch tag {
        case 0x01: "user:"
        case 0x02: "user:\(id)"
        case 0x04: "group:"
        case 0x08: "group:\(id)"
        case 0x10: "mask:"
        case 0x20: "other:"
        default: nil
        }
    }

    /// The entries of the text, which is short: a list has as many as its attribute.
    static func entries(text: [UInt8]) -> [String] {
        text.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
    }
}
