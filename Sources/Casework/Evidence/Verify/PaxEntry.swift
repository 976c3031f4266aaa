internal import DiskFormats

/// What an entry of files.tar says, without its content.
struct PaxEntry {
    /// The types that ``ArchiveFile`` writes, by the letter of tar.
    enum Kind: UInt8 {
        case file = 0x30
        case hardLink
        case symbolicLink
        case character
        case block
        case directory
        case fifo

        /// What files.jsonl calls it.
        var name: String {
            switch self {
            case .file: "file"
            case .hardLink: "hardlink"
            case .symbolicLink: "symlink"
            case .character: "char"
            case .block: "block"
            case .directory: "directory"
            case .fifo: "fifo"
            }
        }
    }

    let kind: Kind
    /// Without the slash after a directory's.
    let path: [UInt8]
    /// Of a symbolic or hard link.
    let link: [UInt8]
    let mode: UInt16
    let user: UInt64
    let group: UInt64
    let modified: Timestamp
    let major: UInt64
    let minor: UInt64
    /// What follows the header in the archive, map of a sparse file included.
    let storedSize: UInt64
    /// The size of a sparse file.
    let realSize: UInt64?
    /// `SCHILY.xattr.` and `SCHILY.acl.` records.
    let attributes: [[UInt8]: [UInt8]]
    /// Where the entry begins in the archive.
    let offset: UInt64
}

/// The records of a pax header, none of them twice.
struct PaxRecords {
    private(set) var values: [[UInt8]: [UInt8]] = [:]

    /// The largest header that is read; a file's attributes and access lists stand in it.
    static let byteCountMax: UInt64 = 32 << 20
    private static let countMax = 1 << 16

    /// No records.
    init() {}

    /// Reads `LENGTH KEYWORD=VALUE\n` one after another; throws the end of a sentence.
    init(_ text: [UInt8]) throws(PaxFailure) {
        var position = 0
        while position < text.count {
            let digits = text[position...].prefix(9).prefix { $0 != 0x20 }
            guard let length = Self.decimal(digits), length <= UInt64(text.count - position),
                length > UInt64(digits.count) + 2, text[position + Int(length) - 1] == 0x0A
            else { throw PaxFailure("a pax record has no right length") }
            let end = position + Int(length)
            let body = text[(position + digits.count)..<(end - 1)]
            guard body.first == 0x20, let equals = body.firstIndex(of: UInt8(ascii: "=")) else {
                throw PaxFailure("a pax record has no keyword")
            }
            let keyword = Array(body[(body.startIndex + 1)..<equals])
            let value = Array(body[(equals + 1)...])
            guard values.updateValue(value, forKey: keyword) == nil else {
                throw PaxFailure("\(GuestName.escaped(keyword)) stands twice in a pax header")
            }
            guard values.count <= Self.countMax else {
                throw PaxFailure("a pax header has more than \(Self.countMax) records")
            }
            position = end
        }
        guard !values.isEmpty else { throw PaxFailure("a pax header is empty") }
    }

    /// Takes the value of a keyword out.
    mutating func take(_ keyword: String) -> [UInt8]? {
        values.isEmpty ? nil : values.removeValue(forKey: Array(keyword.utf8))
    }

    /// Takes a number out; nil where it is not there.
    mutating func number(_ keyword: String) throws(PaxFailure) -> UInt64? {
        guard let value = take(keyword) else { return nil }
        guard let number = Self.decimal(value[...]) else {
            throw PaxFailure("\(keyword) of a pax header is no number")
        }
        return number
    }

    /// A decimal number without sign and leading zeros, below 2^63.
    static func decimal(_ digits: ArraySlice<UInt8>) -> UInt64? {
        guard 1...19 ~= digits.count, digits.count == 1 || digits.first != 0x30 else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            guard 0x30...0x39 ~= digit else { return nil }
            value = value * 10 + UInt64(digit - 0x30)
        }
        return value <= UInt64(Int64.max) ? value : nil
    }

    /// Seconds with a fraction, both counting away from the epoch.
    static func time(_ text: [UInt8]) -> Timestamp? {
        let isNegative = text.first == UInt8(ascii: "-")
        let parts = text.dropFirst(isNegative ? 1 : 0)
            .split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard 1...2 ~= parts.count, let whole = decimal(parts[0]) else { return nil }
        var nanoseconds: UInt32 = 0
        if parts.count == 2 {
            let digits = parts[1]
            guard 1...9 ~= digits.count, digits.allSatisfy({ 0x30...0x39 ~= $0 }),
                digits.last != 0x30
            else { return nil }
            for index in 0..<9 {
                let digit = index < digits.count ? digits[digits.startIndex + index] - 0x30 : 0
                nanoseconds = nanoseconds * 10 + UInt32(digit)
            }
        }
        let seconds = Int64(whole)
        guard isNegative else { return Timestamp(seconds: seconds, nanoseconds: nanoseconds) }
        guard nanoseconds > 0 else { return Timestamp(seconds: -seconds) }
        return Timestamp(seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds)
    }
}

/// What is wrong with a header; the end of a sentence.
struct PaxFailure: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}
