/// Carries arguments and host paths that are not UTF-8 through `String` without loss.
///
/// Each byte that is not part of valid UTF-8 becomes a character of a private range, and so do
/// the bytes of characters that are in that range themselves. No such byte is below 0x80, so neither
/// a slash nor a NUL can be brought in this way. Every function of this module that takes a host path
/// decodes it, and every one that gives one has encoded it.
package enum CommandLineBytes {
    private static let base: UInt32 = 0x10_FE00
    private static let range = (base + 0x80)...(base + 0xFF)

    /// The argument's bytes as a string that ``decode(_:)`` turns back into exactly them.
    package static func encode(_ bytes: some Collection<UInt8>) -> String {
        var text = String.UnicodeScalarView()
        var rest = bytes[...]
        while !rest.isEmpty {
            var parser = Unicode.UTF8.ForwardParser()
            var iterator = rest.makeIterator()
            guard case .valid(let encoded) = parser.parseScalar(from: &iterator) else {
                text.append(
                    contentsOf: rest.prefix(1).compactMap { Unicode.Scalar(base + UInt32($0)) }
                )
                rest = rest.dropFirst()
                continue
            }
            let scalar = Unicode.UTF8.decode(encoded)
            if range.contains(scalar.value) {
                text.append(contentsOf: encoded.compactMap { Unicode.Scalar(base + UInt32($0)) })
            } else {
                text.append(scalar)
            }
            rest = rest.dropFirst(encoded.count)
        }
        return String(text)
    }

    /// The bytes that ``encode(_:)`` was given.
    package static func decode(_ text: some StringProtocol) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            if let byte = byte(of: scalar) {
                bytes.append(byte)
            } else {
                bytes.append(contentsOf: UTF8.encode(scalar).map(Array.init) ?? [])
            }
        }
        return bytes
    }

    /// The byte that `scalar` stands for; nil where it is a character like others.
    package static func byte(of scalar: Unicode.Scalar) -> UInt8? {
        range.contains(scalar.value) ? UInt8(scalar.value - base) : nil
    }

    /// A host path as system calls take it, with its NUL.
    static func terminated(_ path: String) -> [CChar] {
        decode(path).map { CChar(bitPattern: $0) } + [0]
    }
}
