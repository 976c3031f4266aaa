internal import Casework
internal import DiskFormats
internal import Linux

/// The conditions of `find`; all must hold.
struct FileFilter {
    private let patterns: [Glob]
    private let type: FileType?
    private let sizes: [ClosedRange<UInt64>]
    private let newer: Timestamp?
    private let older: Timestamp?

    init(
        names: [String],
        type: String?,
        sizes: [String],
        newer: String?,
        older: String?
    ) throws(GloveboxError) {
        patterns = names.map { Glob(CommandLineBytes.decode($0)) }
        self.type = try type.map(Self.type)
        var ranges: [ClosedRange<UInt64>] = []
        for size in sizes { ranges.append(try Self.range(size)) }
        self.sizes = ranges
        self.newer = try newer.map { text throws(GloveboxError) in try Timestamp(argument: text) }
        self.older = try older.map { text throws(GloveboxError) in try Timestamp(argument: text) }
    }

    /// Whether `found` meets the conditions; what cannot be read is always shown.
    func accepts(_ found: GuestTree.Found) -> Bool {
        guard patterns.isEmpty || patterns.contains(where: { $0.matches(found.name) }) else {
            return false
        }
        guard case .success(let inode) = found.inode else { return true }
        if let type, inode.type != type { return false }
        if let newer, inode.modified <= newer { return false }
        if let older, inode.modified >= older { return false }
        return sizes.allSatisfy { $0.contains(inode.size) }
    }

    private static func type(_ text: String) throws(GloveboxError) -> FileType {
        let letters: [String: FileType] = [
            "f": .regular, "d": .directory, "l": .symbolicLink, "c": .characterDevice,
            "b": .blockDevice, "p": .fifo, "s": .socket,
        ]
        guard let type = letters[text] ?? FileType(rawValue: text) else {
            let known = FileType.allCases.map(\.rawValue).joined(separator: ", ")
            throw GloveboxError(.usage, "\(text) is no file type.", advice: "Use one of \(known).")
        }
        return type
    }

    private static func range(_ text: String) throws(GloveboxError) -> ClosedRange<UInt64> {
        let units: [Character: UInt64] = [
            "k": 1 << 10, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40,
        ]
        var digits = text.drop { $0 == "+" || $0 == "-" }
        var unit: UInt64 = 1
        if let last = digits.last, let known = units[last] {
            unit = known
            digits = digits.dropLast()
        }
        guard text.count - digits.count <= 2, let number = UInt64(digits),
            case let (bytes, overflow) = number.multipliedReportingOverflow(by: unit), !overflow
        else {
            throw GloveboxError(
                .usage,
                "\(text) is no size.",
                advice: "Write bytes, or a number with k, M, G or T, with + or - before it."
            )
        }
        switch text.first {
        case "+" where bytes < .max: return (bytes + 1)...UInt64.max
        case "-" where bytes > 0: return 0...(bytes - 1)
        case "-": throw GloveboxError(.usage, "No file is smaller than 0 bytes.")
        default: return bytes...bytes
        }
    }
}

/// A pattern for names, over bytes: `*` any number, `?` one, `[a-z]` and `[!a-z]` one of a set,
/// a backslash takes the next byte as it is.
struct Glob {
    private enum Part {
        case any
        case one
        case byte(UInt8)
        case set([ClosedRange<UInt8>], negated: Bool)
    }

    private let parts: [Part]

    init(_ pattern: [UInt8]) {
        var parts: [Part] = []
        var rest = pattern[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "*"): parts.append(.any)
            case UInt8(ascii: "?"): parts.append(.one)
            case UInt8(ascii: "\\"): parts.append(.byte(rest.popFirst() ?? byte))
            case UInt8(ascii: "["): parts.append(Self.set(&rest) ?? .byte(byte))
            default: parts.append(.byte(byte))
            }
        }
        self.parts = parts
    }

    /// Whether the whole of `name` fits; time is at most the product of both lengths.
    func matches(_ name: [UInt8]) -> Bool {
        var part = 0
        var byte = 0
        var retry: (part: Int, byte: Int)?
        while byte < name.count {
            if part < parts.count, case .any = parts[part] {
                retry = (part, byte)
                part += 1
            } else if part < parts.count, fits(parts[part], name[byte]) {
                part += 1
                byte += 1
            } else if let last = retry {
                retry = (last.part, last.byte + 1)
                part = last.part + 1
                byte = last.byte + 1
            } else {
                return false
            }
        }
        return parts[part...].allSatisfy { if case .any = $0 { true } else { false } }
    }

    private func fits(_ part: Part, _ byte: UInt8) -> Bool {
        switch part {
        case .any: false
        case .one: true
        case .byte(let wanted): wanted == byte
        case .set(let ranges, let negated): ranges.contains { $0.contains(byte) } != negated
        }
    }

    /// The set after a `[`; nil, with nothing consumed, where its `]` is missing.
    private static func set(_ rest: inout ArraySlice<UInt8>) -> Part? {
        var inside = rest
        let negated = inside.first == UInt8(ascii: "!") || inside.first == UInt8(ascii: "^")
        if negated { inside = inside.dropFirst() }
        var ranges: [ClosedRange<UInt8>] = []
        while let low = inside.popFirst() {
            if low == UInt8(ascii: "]"), !ranges.isEmpty {
                rest = inside
                return .set(ranges, negated: negated)
            }
            var high = low
            if inside.first == UInt8(ascii: "-"), let end = inside.dropFirst().first,
                end != UInt8(ascii: "]")
            {
                high = end
                inside = inside.dropFirst(2)
            }
            if low <= high { ranges.append(low...high) }
        }
        return nil
    }
}
