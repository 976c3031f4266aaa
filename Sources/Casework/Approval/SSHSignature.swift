internal import Digests
internal import JSON

/// A detached signature as `ssh-keygen -Y sign` writes it.
///
/// Layout: OpenSSH's PROTOCOL.sshsig, version 1. Only the one text that ssh-keygen makes of a
/// signature is read: its own verification passes over white space and what follows the last line.
package struct SSHSignature: Equatable, Sendable {
    /// What ssh-keygen wrote, byte for byte.
    package let armour: [UInt8]
    /// The key that made it.
    package let key: SSHPublicKey
    /// What it was made for; a signature for one purpose is none for another.
    package let namespace: String

    /// The longest text of one that is read; RSA keys of 16 KiB bits have less.
    package static let armourBytesMax = 16 << 10

    private static let begin = Array("-----BEGIN SSH SIGNATURE-----\n".utf8)
    private static let end = Array("-----END SSH SIGNATURE-----\n".utf8)
    private static let lineLength = 70

    /// Reads `armour`; nil where it is not exactly a signature.
    package init?(_ armour: [UInt8]) {
        guard armour.count <= Self.armourBytesMax, armour.starts(with: Self.begin),
            armour.suffix(Self.end.count).elementsEqual(Self.end)
        else { return nil }
        let body = armour.dropFirst(Self.begin.count).dropLast(Self.end.count)
        guard let blob = Base64.decode(body.filter { $0 != UInt8(ascii: "\n") }),
            Self.armour(of: blob) == armour
        else { return nil }
        var fields = SSHFields(blob)
        guard fields.take("SSHSIG"), fields.number() == 1,
            let key = fields.string().flatMap(SSHPublicKey.init),
            let namespace = fields.string().flatMap({ String(validating: $0, as: UTF8.self) }),
            fields.string() == [], fields.string() == Array("sha512".utf8),
            fields.string() != nil, fields.isAtEnd
        else { return nil }
        self.armour = armour
        self.key = key
        self.namespace = namespace
    }

    private static func armour(of blob: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        Base64.append(blob, to: &text)
        var armour = begin
        while !text.isEmpty {
            armour += text.prefix(lineLength) + [UInt8(ascii: "\n")]
            text.removeFirst(min(lineLength, text.count))
        }
        return armour + end
    }
}

/// A public key as SSH writes it.
package struct SSHPublicKey: Hashable, Sendable {
    /// Its type, such as `ssh-ed25519`.
    package let type: String
    /// The whole key, its type included (RFC 4253, 6.6).
    package let blob: [UInt8]

    /// Reads the key; nil where it is not one.
    package init?(_ blob: [UInt8]) {
        var fields = SSHFields(blob)
        guard let type = fields.string().flatMap({ String(validating: $0, as: UTF8.self) }),
            !type.isEmpty, type.utf8.allSatisfy({ 0x21...0x7E ~= $0 }), !fields.isAtEnd
        else { return nil }
        self.type = type
        self.blob = blob
    }

    /// `SHA256:` and the digest in base64 without padding, as ssh-keygen prints it.
    package var fingerprint: String {
        var text: [UInt8] = []
        Base64.append(Digest(of: blob).bytes, to: &text)
        return "SHA256:" + String(decoding: text.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self)
    }
}

/// Reads the fields of an SSH structure (RFC 4251, 5).
private struct SSHFields {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func take(_ word: String) -> Bool {
        guard rest.starts(with: word.utf8) else { return false }
        rest = rest.dropFirst(word.utf8.count)
        return true
    }

    mutating func number() -> UInt32? {
        guard rest.count >= 4 else { return nil }
        let number = rest.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        rest = rest.dropFirst(4)
        return number
    }

    mutating func string() -> [UInt8]? {
        guard let count = number(), count <= rest.count else { return nil }
        defer { rest = rest.dropFirst(Int(count)) }
        return Array(rest.prefix(Int(count)))
    }
}
