internal import JSON

/// Who may sign: a list of keys in the form of ssh-keygen's allowed signers, read more strictly.
///
/// ssh-keygen would let a key pass as anybody whose line it fits. So each line names one principal
/// without wildcards, no key stands in two lines, and certificate authorities are refused.
package struct SignerList: Equatable, Sendable {
    /// A line of the list.
    package struct Signer: Equatable, Sendable {
        /// Who it is, such as `operator@example.com`.
        package let principal: String
        /// The key.
        package let key: SSHPublicKey
        /// The line itself, without its newline.
        package let line: [UInt8]
    }

    /// What is wrong with a list, and in which line.
    package struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
        /// Counted from 1.
        package let line: Int
        /// The end of a sentence.
        package let reason: String

        /// `line 3: a wildcard in the principal`.
        package var description: String { "line \(line): \(reason)" }
    }

    /// The lines, in their order.
    package let signers: [Signer]

    /// The largest list that is read.
    package static let byteCountMax = 1 << 20

    /// Reads a list whole, or not at all.
    package init(_ text: [UInt8]) throws(Failure) {
        var signers: [Signer] = []
        var keys: [SSHPublicKey: Int] = [:]
        let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let bytes = Array(line)
            let isEmpty = bytes.allSatisfy { $0 == 0x20 || $0 == 0x09 }
            if isEmpty || bytes.first == UInt8(ascii: "#") { continue }
            let signer: Signer
            do throws(Reason) { signer = try Signer(bytes) } catch {
                throw Failure(line: index + 1, reason: error.text)
            }
            if let first = keys.updateValue(index + 1, forKey: signer.key) {
                throw Failure(line: index + 1, reason: "the key of line \(first) once more")
            }
            signers.append(signer)
        }
        self.signers = signers
    }

    /// The list of one who has this key, for seeing whether a signature is of its data at all.
    init(of key: SSHPublicKey, as principal: String) {
        var line = Array("\(principal) \(key.type) ".utf8)
        Base64.append(key.blob, to: &line)
        signers = [Signer(principal: principal, key: key, line: line)]
    }

    /// Whose key it is, if anybody's here.
    package func signer(with key: SSHPublicKey) -> Signer? { signers.first { $0.key == key } }
}

private struct Reason: Error {
    let text: String
    init(_ text: String) { self.text = text }
}

extension SignerList.Signer {
    /// `PRINCIPAL [OPTIONS] TYPE KEY [COMMENT]` (ssh-keygen(1), ALLOWED SIGNERS).
    fileprivate init(_ line: [UInt8]) throws(Reason) {
        guard line.allSatisfy({ 0x20...0x7E ~= $0 }) else {
            throw Reason("a character that is not printable ASCII")
        }
        var fields = line.split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }[...]
        guard let principal = fields.popFirst(), fields.count >= 2 else {
            throw Reason("not PRINCIPAL TYPE KEY")
        }
        guard !principal.contains(where: { "*?!".contains($0) }) else {
            throw Reason("a wildcard in the principal")
        }
        guard !principal.contains(where: { ",\"".contains($0) }) else {
            throw Reason("more than one principal")
        }
        while let option = fields.first, option.contains("=") || !option.contains("-") {
            try Self.check(option)
            fields.removeFirst()
        }
        guard let type = fields.popFirst(), let text = fields.popFirst() else {
            throw Reason("the key is missing")
        }
        // A certificate would be a second name of a key that may be on another list.
        if type.contains("-cert-") { throw Reason("a certificate instead of a key") }
        if type == "cert-authority" { throw Reason("certificate authorities are not used here") }
        guard let key = Base64.decode(Array(text.utf8)).flatMap(SSHPublicKey.init),
            key.type == type
        else { throw Reason("no key of type \(type)") }
        self.init(principal: principal, key: key, line: line)
    }

    private static func check(_ option: String) throws(Reason) {
        let name = option.prefix { $0 != "=" }.lowercased()
        let value = option.dropFirst(name.count)
        let isQuoted = value.hasPrefix("=\"") && value.hasSuffix("\"") && value.count > 3
        guard ["namespaces", "valid-after", "valid-before"].contains(name), isQuoted else {
            throw Reason("an option that is not known here: \(option)")
        }
    }
}
