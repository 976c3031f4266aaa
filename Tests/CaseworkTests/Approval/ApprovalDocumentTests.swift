import Digests
import Foundation
import JSON
import Testing

@testable import Casework
@testable import DiskFormats

/// What counts as an approval document.
struct ApprovalDocumentTests {
    private static let good = """
        {"schema":"glovebox.approval/1","id":"3f2504e0-4f89-41d3-9a0c-0305e82c3301",\
        "ticket":"INC-1234","instance":"5f0c8a52-1c1d-4b60-9a6f-2f3e8f2c1a77",\
        "scope":["/home/alice"],"actions":["list","read"],"requester":"a@example.com",\
        "approver":"b@example.com","not_before":"2026-01-31T12:00:00Z",\
        "expires":"2026-01-31T18:00:00Z","reason":"lost files"}
        """

    private func read(_ text: String) throws -> ApprovalDocument {
        try ApprovalDocument(Array(text.utf8))
    }

    @Test func `what was written is read`() throws {
        let document = try read(Self.good)
        #expect(document.subject == .instance("5f0c8a52-1c1d-4b60-9a6f-2f3e8f2c1a77"))
        #expect(document.actions == [.list, .read])
        #expect(try ApprovalDocument(document.text) == document)
        var image = document
        image.subject = .image([.zero, .zero])
        #expect(try ApprovalDocument(image.text) == image)
    }

    @Test(arguments: [
        ("approval/1", "approval/2"), ("\"ticket\":", "\"Ticket\":"),
        ("\"ticket\":\"INC-1234\"", "\"ticket\":\"INC-1234\",\"ticket\":\"INC-1234\""),
        ("\"ticket\":\"INC-1234\",", ""), ("{\"schema\"", "{\"extra\":1,\"schema\""),
        ("INC-1234", ""), ("INC-1234", "a\\nb"), ("INC-1234", "\\u202e"), ("\"INC-1234\"", "7"),
        ("-41d3-", "-11d3-"), ("3f2504e0", "3F2504E0"), ("3f2504e0", "3f2504e"),
        ("5f0c8a52", "5F0C8A52"), ("1a77\"", "1a77\",\"image\":{\"layers\":[]}"),
        (",\"instance\":\"5f0c8a52-1c1d-4b60-9a6f-2f3e8f2c1a77\"", ""),
        ("[\"/home/alice\"]", "[]"), ("[\"/home/alice\"]", "[\"/home/../etc\"]"),
        ("[\"/home/alice\"]", "\"/home\""), ("\"list\",", "\"list\",\"list\","),
        ("[\"list\",\"read\"]", "[]"), ("\"list\"", "\"all\""), ("\"list\"", "\"List\""),
        ("a@example.com", "*@example.com"), ("a@example.com", "a b"), ("a@example.com", ""),
        ("a@example.com", "\u{430}@example.com"), ("2026-01-31T12:00:00Z", "2026-01-31"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00Z"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.0Z"),
        ("2026-01-31T12:00:00Z", "2026-01-31 12:00:00Z"),
        ("2026-01-31T12:00:00Z", "2026-02-30T12:00:00Z"),
        ("2026-01-31T12:00:00Z", "2026-01-31T18:00:00Z"), ("lost files", ""),
    ])
    func `a document that differs is none`(part: String, other: String) throws {
        let text = Self.good.replacingOccurrences(of: part, with: other)
        #expect(text != Self.good)
        #expect(throws: JSONError.self) { try read(text) }
    }

    @Test func `a document that goes on is none`() {
        #expect(throws: JSONError.self) { try read(Self.good + "{}") }
        let long = Self.good + String(repeating: " ", count: ApprovalDocument.byteCountMax)
        #expect(throws: JSONError.self) { try read(long) }
    }

    @Test func `an image has digests in lower case`() throws {
        let instance = "\"instance\":\"5f0c8a52-1c1d-4b60-9a6f-2f3e8f2c1a77\""
        func image(_ layers: String) throws -> ApprovalDocument {
            let image = "\"image\":{\"layers\":[\(layers)]}"
            return try read(Self.good.replacingOccurrences(of: instance, with: image))
        }
        let digest = String(repeating: "ab", count: 32)
        #expect(try image("\"\(digest)\"").subject != .instance(""))
        for bad in ["", "\"\(digest.uppercased())\"", "\"ab\"", "1"] {
            #expect(throws: JSONError.self) { try image(bad) }
        }
    }
}
