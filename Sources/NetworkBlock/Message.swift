internal import DiskFormats

/// A message of the server's, taken apart from its front; integers are big-endian.
struct Message {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    /// How many bytes have not been taken yet.
    var byteCount: Int { rest.count }

    /// The next integer.
    mutating func take<T: FixedWidthInteger & UnsignedInteger>(
        _ type: T.Type
    ) throws(ConversationError) -> T {
        var value: T = 0
        for byte in try take(count: T.bitWidth / 8) { value = value << 8 | T(byte) }
        return value
    }

    /// The next `count` bytes.
    mutating func take(count: Int) throws(ConversationError) -> [UInt8] {
        guard count >= 0, rest.count >= count else {
            throw .violation("a message of the server's is too short for what it is to hold")
        }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    /// The next `count` bytes as a text for a person, safe for a terminal and not long.
    mutating func takeText(count: Int) throws(ConversationError) -> String {
        let bytes = try take(count: count)
        let most = 200
        let text = GuestName.escaped(Array(bytes.prefix(most)))
        return bytes.count > most ? text + "…" : text
    }
}

extension [UInt8] {
    /// Appends an integer, big-endian.
    mutating func append(be value: some FixedWidthInteger & UnsignedInteger) {
        for shift in stride(from: value.bitWidth - 8, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    /// Appends a text with its length before it, as options have them.
    mutating func append(counted text: String) {
        append(be: UInt32(clamping: text.utf8.count))
        append(contentsOf: text.utf8)
    }
}
