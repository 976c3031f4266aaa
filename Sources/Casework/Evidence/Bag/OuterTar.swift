/// The form of a bag in one file: ustar entries of which every byte follows from name and size.
///
/// A reader that demands exactly this form notices any change, also where tar readers look past it.
/// Layout: POSIX.1-2008, `pax`, ustar interchange format; sizes from 8 GiB on as GNU tar has them.
enum OuterTar {
    static let blockBytes = 512
    /// The blocks that end the file.
    static let endBytes = 1_024

    /// The header block of the file `name`, at most 100 bytes, of `size` bytes.
    static func header(name: String, size: UInt64) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: blockBytes)
        func put(_ text: String, at offset: Int) {
            block.replaceSubrange(offset..<(offset + text.utf8.count), with: text.utf8)
        }
        put(String(name.prefix(100)), at: 0)
        put("0000644", at: 100)
        put("0000000", at: 108)
        put("0000000", at: 116)
        if size < 1 << 33 {
            put(octal(size, digits: 11), at: 124)
        } else {
            block[124] = 0x80
            for index in 0..<8 {
                block[128 + index] = UInt8(truncatingIfNeeded: size >> (56 - 8 * index))
            }
        }
        put("00000000000", at: 136)
        put("        ", at: 148)
        put("0", at: 156)
        put("ustar\u{0}00", at: 257)
        put("0000000", at: 329)
        put("0000000", at: 337)
        let sum = block.reduce(UInt64(0)) { $0 + UInt64($1) }
        put(octal(sum, digits: 6) + "\u{0} ", at: 148)
        return block
    }

    /// How many zeros follow `count` bytes of content.
    static func padding(after count: UInt64) -> Int { Int((512 - count % 512) % 512) }

    private static func octal(_ value: UInt64, digits: Int) -> String {
        let text = String(value, radix: 8)
        return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
    }
}
