/// A SHA-256 digest.
package struct Digest: Hashable, Sendable, CustomStringConvertible {
    /// How long one is.
    package static let byteCount = 32
    /// Its 32 bytes.
    package let bytes: [UInt8]

    init(verified bytes: [UInt8]) { self.bytes = bytes }

    /// The digest of `bytes`.
    package init(of bytes: [UInt8]) {
        var hash = SHA256()
        hash.update(bytes)
        self = hash.digest
    }

    /// The digest that `text` writes in 64 lower-case hexadecimal digits; nil for anything else.
    package init?(hexadecimal text: some Collection<UInt8>) {
        guard text.count == 2 * Self.byteCount else { return nil }
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text {
            let digit: UInt8
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = character - 48
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = character - 87
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        self.bytes = bytes
    }

    /// 32 zeros, which stand before the first line of a chain.
    package static let zero = Digest(verified: [UInt8](repeating: 0, count: byteCount))

    /// 64 lower-case hexadecimal digits.
    package var description: String { String(decoding: hexadecimal, as: UTF8.self) }

    /// 64 lower-case hexadecimal digits.
    package var hexadecimal: [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        return bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    }
}
