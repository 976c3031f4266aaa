/// libarchive's header blocks of one plain file as a form that the next files fill in.
///
/// Formatting an entry costs libarchive some microseconds, more than reading a small file does. Of
/// ordinary files that share owner and permissions only path, size and time differ, and those are
/// replaced here. A form is only made of a header that comes out byte for byte the same when its own
/// file is filled in again. What is not ordinary goes to libarchive: attributes, holes, links, other
/// types, long or unusual names, and times outside 2001–2038 or whose last decimal is zero.
///
/// Layout: POSIX.1-2008, `pax`, extended header and ustar interchange format.
struct HeaderForm {
    private let permissions: UInt16
    private let user: UInt32
    private let group: UInt32
    /// A block of type `x`, one with the record of the time, the file's own.
    private var blocks: [UInt8]

    private static let record = 512
    private static let own = 1_024
    private static let recordBytes = 30
    private static let nameMax = 80

    /// Whether only path, size and time tell `entry` from others of its owner and permissions.
    static func isOrdinary(_ entry: ArchiveEntry) -> Bool {
        guard case .file(let size, nil) = entry.kind, size < 1 << 33, entry.attributes.isEmpty,
            1_000_000_000..<0x7FFF_FFFF ~= entry.modified.seconds,
            entry.modified.nanoseconds % 10 != 0, entry.path.count <= nameMax
        else { return false }
        var isFirst = true
        for byte in entry.path {
            // A component with a dot in front may mean more than its name says.
            guard 0x20...0x7E ~= byte, !(isFirst && (byte == 0x2E || byte == 0x2F)) else {
                return false
            }
            isFirst = byte == 0x2F
        }
        return !isFirst
    }

    /// Makes a form of the `header` of an ordinary entry; nil where it is not made as expected.
    init?(_ entry: ArchiveEntry, _ header: [UInt8]) {
        let rest = Self.record + Self.recordBytes
        guard header.count == 1_536, header[124..<136].elementsEqual("00000000036 ".utf8),
            header[rest..<Self.own].allSatisfy({ $0 == 0 })
        else { return nil }
        (permissions, user, group) = (entry.permissions, entry.user, entry.group)
        blocks = header
        guard fill(in: entry), blocks == header else { return nil }
    }

    /// Fills in an ordinary entry; false where the form is not for its owner or permissions.
    private mutating func fill(in entry: ArchiveEntry) -> Bool {
        guard entry.permissions == permissions, entry.user == user, entry.group == group,
            case .file(let size, _) = entry.kind
        else { return false }
        let seconds = UInt64(entry.modified.seconds)
        let slash = entry.path.lastIndex(of: 0x2F).map { $0 + 1 } ?? 0
        var span = blocks.mutableSpan
        var end = Self.put(entry.path, 0..<slash, into: &span, at: 0)
        end = Self.put(Self.directory, Self.directory.indices, into: &span, at: end)
        end = Self.put(entry.path, slash..<entry.path.count, into: &span, at: end)
        for index in end..<100 { span[index] = 0 }
        Self.put(seconds, radix: 8, digits: 11, into: &span, at: 136)
        Self.putChecksum(into: &span, of: 0)

        Self.put(seconds, radix: 10, digits: 10, into: &span, at: Self.record + 9)
        let nanoseconds = UInt64(entry.modified.nanoseconds)
        Self.put(nanoseconds, radix: 10, digits: 9, into: &span, at: Self.record + 20)

        end = Self.put(entry.path, entry.path.indices, into: &span, at: Self.own)
        for index in end..<(Self.own + 100) { span[index] = 0 }
        Self.put(size, radix: 8, digits: 11, into: &span, at: Self.own + 124)
        Self.put(seconds, radix: 8, digits: 11, into: &span, at: Self.own + 136)
        Self.putChecksum(into: &span, of: Self.own)
        return true
    }

    /// The header blocks of an ordinary entry; nil where the form is not for it.
    mutating func header(of entry: ArchiveEntry) -> [UInt8]? { fill(in: entry) ? blocks : nil }
}

extension HeaderForm {
    /// Where libarchive puts the extended header of a file: beside it.
    private static let directory = Array("PaxHeader/".utf8)

    private static func put(
        _ bytes: [UInt8],
        _ range: Range<Int>,
        into span: inout MutableSpan<UInt8>,
        at offset: Int
    ) -> Int {
        for index in range { span[offset + index - range.lowerBound] = bytes[index] }
        return offset + range.count
    }

    @inline(__always)
    private static func put(
        _ value: UInt64,
        radix: UInt64,
        digits: Int,
        into span: inout MutableSpan<UInt8>,
        at offset: Int
    ) {
        var rest = value
        for index in stride(from: offset + digits - 1, through: offset, by: -1) {
            span[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % radix)
            rest /= radix
        }
    }

    /// The sum of a block's bytes, with blanks in place of itself.
    private static func putChecksum(into span: inout MutableSpan<UInt8>, of block: Int) {
        var sum: UInt32 = 8 * 0x20
        for index in block..<(block + 148) { sum &+= UInt32(span[index]) }
        for index in (block + 156)..<(block + 512) { sum &+= UInt32(span[index]) }
        put(UInt64(sum), radix: 8, digits: 6, into: &span, at: block + 148)
    }
}
