import Casework
import DiskFormats
import Testing

@testable import GloveboxCommands

struct ApproveRequestTests {
    private let start = Timestamp(seconds: 1_000_000)

    @Test(arguments: [
        ("30m", 1_001_800), ("8h", 1_028_800), ("3d", 1_259_200),
        ("1970-01-12T13:46:41Z", 1_000_001), ("1970-01-12T13:46:41.9Z", 1_000_001),
    ])
    func `an approval ends after a while or at a time`(text: String, seconds: Int64) throws {
        #expect(try ApproveRequestCommand.time(text, after: start).seconds == seconds)
    }

    @Test(arguments: [
        "", "h", "0h", "-1h", "8", "8 h", "8w", "1.5h", "9223372036854775807d", "soon",
    ])
    func `anything else is no time`(text: String) {
        #expect(throws: GloveboxError.self) {
            try ApproveRequestCommand.time(text, after: start)
        }
        #expect(throws: GloveboxError.self) { try ApproveRequestCommand.time("8h", after: nil) }
    }

    @Test func `an id is a random uuid of version 4`() {
        let ids = (0..<100).map { _ in ApproveRequestCommand.newID() }
        #expect(Set(ids).count == 100)
        for id in ids {
            #expect(ApprovalDocument.isUUID(id))
            #expect(Array(id.utf8)[14] == UInt8(ascii: "4"))
        }
    }
}
