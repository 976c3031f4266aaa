import Testing

@testable import Digests

struct SHA256Tests {
    /// NIST's examples for FIPS 180-4.
    @Test func `the standard's own examples come out`() {
        #expect(
            Digest(of: []).description
                == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        )
        #expect(
            Digest(of: Array("abc".utf8)).description
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        )
        var million = SHA256()
        for _ in 0..<1_000 { million.update([UInt8](repeating: UInt8(ascii: "a"), count: 1_000)) }
        #expect(
            million.digest.description
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        )
    }

    @Test func `zeros count as zeros, and a digest on the way changes nothing`() {
        var hash = SHA256()
        hash.update([1])
        _ = hash.digest
        hash.update(zeros: 70_000)
        #expect(hash.digest == Digest(of: [1] + [UInt8](repeating: 0, count: 70_000)))
    }

    @Test func `a digest is read from exactly its own text`() {
        let digest = Digest(of: [7])
        #expect(Digest(hexadecimal: digest.hexadecimal) == digest)
        #expect(Digest(hexadecimal: digest.description.uppercased().utf8) == nil)
        #expect(Digest(hexadecimal: digest.hexadecimal.dropLast()) == nil)
        #expect(Digest(hexadecimal: digest.hexadecimal + [0x30]) == nil)
    }
}
