import Foundation
import Testing

@testable import Casework
@testable import DiskFormats
@testable import Linux

/// Keys and signatures by ssh-keygen itself.
struct SSHSignatureTests {
    private let directory: URL
    private let message = Array("what is signed\n".utf8)
    private let now = Timestamp(seconds: 1_800_000_000, nanoseconds: 5)

    init() throws {
        directory = FileManager.default.temporaryDirectory
            .appending(path: "glovebox-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    private func makeKey(_ name: String, _ type: String = "ed25519") throws -> String {
        let path = directory.appending(path: name).path
        var plan = ChildProcess.Plan(program: "/usr/bin/ssh-keygen")
        plan.arguments = ["-q", "-t", type, "-N", "", "-C", name, "-f", path]
        #expect(try ProgramRun(plan).succeeded)
        return path
    }

    private func line(_ key: String, _ principal: String, options: String = "") throws -> String {
        let text = try String(contentsOfFile: key + ".pub", encoding: .utf8)
        return "\(principal) \(options)\(text)"
    }

    private func list(_ text: String) throws -> SignerList { try SignerList(Array(text.utf8)) }

    private func verify(
        _ signature: SSHSignature,
        _ list: SignerList,
        _ purpose: SignaturePurpose = .request,
        of data: [UInt8]? = nil,
        revoked: [UInt8]? = nil
    ) throws -> SignerList.Signer {
        try SSHKeygen.verify(
            data ?? message,
            signature,
            for: purpose,
            by: list,
            revoked: revoked,
            at: now
        )
    }

    @Test(arguments: ["ed25519", "ecdsa", "rsa"])
    func `a signature verifies for what it was made, and nothing else`(type: String) throws {
        defer { try? FileManager.default.removeItem(at: directory) }
        let key = try makeKey("a", type)
        let other = try makeKey("b")
        let signature = try SSHKeygen.sign(message, for: .request, key: key, agent: nil)
        let list = try list(line(key, "a@example.com") + line(other, "b@example.com"))
        #expect(try verify(signature, list).principal == "a@example.com")
        #expect(throws: SignatureError.wrongNamespace("glovebox-request")) {
            try verify(signature, list, .approval)
        }
        #expect {
            try verify(signature, list, of: message + [0x20])
        } throws: { error in
            guard case .rejected("a@example.com", _) = error as? SignatureError else {
                return false
            }
            return true
        }
        #expect(throws: SignatureError.unknownKey(fingerprint: signature.key.fingerprint)) {
            try verify(signature, self.list(line(other, "b@example.com")))
        }
        let revoked = Array(try String(contentsOfFile: key + ".pub", encoding: .utf8).utf8)
        #expect(throws: SignatureError.self) { try verify(signature, list, revoked: revoked) }
        let rest = try line(other, "x").dropFirst(2)
        #expect(try verify(signature, list, revoked: Array(rest.utf8)).principal == "a@example.com")
    }

    @Test func `a key counts only while its line says so`() throws {
        defer { try? FileManager.default.removeItem(at: directory) }
        let key = try makeKey("a")
        let signature = try SSHKeygen.sign(message, for: .request, key: key, agent: nil)
        for (options, isValid) in [
            (#"valid-before="20270116" "#, true), (#"valid-before="20270114" "#, false),
            (#"valid-after="20270114Z" "#, true), (#"valid-after="20270116Z" "#, false),
            (#"namespaces="glovebox-request" "#, true), (#"namespaces="git" "#, false),
        ] {
            let list = try list(line(key, "a@example.com", options: options))
            let verifies = (try? verify(signature, list)) != nil
            #expect(verifies == isValid, "\(options)")
        }
    }

    @Test func `only the text that ssh-keygen writes is a signature`() throws {
        defer { try? FileManager.default.removeItem(at: directory) }
        let key = try makeKey("a")
        let armour = try SSHKeygen.sign(message, for: .bag, key: key, agent: nil).armour
        let list = try list(line(key, "a@example.com"))
        #expect(SSHSignature(armour)?.namespace == "glovebox-bag")
        for index in armour.indices {
            for changed in [armour[index] ^ 1, armour[index] ^ 0x20, 0x0A, 0x20] {
                guard changed != armour[index] else { continue }
                var text = armour
                text[index] = changed
                guard let signature = SSHSignature(text) else { continue }
                #expect(throws: SignatureError.self) { try verify(signature, list, .bag) }
            }
            #expect(SSHSignature(Array(armour[..<index])) == nil)
        }
        #expect(SSHSignature(armour + [0x0A]) == nil)
    }

    @Test func `lists that ssh-keygen would read generously are refused`() throws {
        defer { try? FileManager.default.removeItem(at: directory) }
        let key = try makeKey("a")
        let public_ = try line(key, "").dropFirst()
        for (text, reason) in [
            ("*@example.com \(public_)", "a wildcard in the principal"),
            ("a@example.com,b@example.com \(public_)", "more than one principal"),
            (
                "a@example.com cert-authority \(public_)",
                "certificate authorities are not used here"
            ),
            (
                "a@example.com touch-required=\"no\" \(public_)",
                "an option that is not known here: touch-required=\"no\""
            ),
            ("a@example.com ssh-rsa \(public_.split(separator: " ")[1])", "no key of type ssh-rsa"),
            ("a@example.com", "not PRINCIPAL TYPE KEY"),
            ("a@example.com\t\(public_)", "a character that is not printable ASCII"),
        ] {
            #expect(throws: SignerList.Failure(line: 2, reason: reason), "\(text)") {
                try self.list("# comment\n" + text)
            }
        }
        #expect(throws: SignerList.Failure(line: 2, reason: "the key of line 1 once more")) {
            try self.list("a@example.com \(public_)b@example.com \(public_)")
        }
        #expect(try self.list("\n# nobody\n").signers.isEmpty)
    }
}
