import Digests
import Testing

@testable import Custody

/// Lines with a right sum and chain that say something else than a custodian says.
struct SessionFormTests {
    /// The first line with `old` replaced, and the sum made right again.
    private func opened(_ old: String, _ new: String) -> [UInt8] {
        let line = String(decoding: Journals.lines(Journals.strict)[0], as: UTF8.self)
        let content = line.components(before: ",\"sum\"").replacing(old, with: new)
        #expect(content.contains(new) && !(new.isEmpty && old.isEmpty))
        return Array("\(content),\"sum\":\"\(Digest(of: Array(content.utf8)))\"}\n".utf8)
    }

    private func reason(_ old: String, _ new: String) -> String {
        refusal { try SessionHistory(journal: opened(old, new)) } ?? "read"
    }

    @Test func `the same line is read`() {
        #expect(reason("alice", "alice") == "read")
        #expect(reason("alice", "") == "read")
    }

    @Test func `a newer format is refused, and says so`() {
        for change in [("\"v\":1", "\"v\":2"), ("\"v\":1", "\"v\":2,\"x\":[{}]")] {
            let reason = reason(change.0, change.1)
            #expect(reason == "line 1: its format 2 is that of a newer Glovebox: use that one")
        }
        for change in [
            ("\"opened\"", "\"opened-otherwise\""), ("\"strict\"", "\"gentle\""),
            ("\"uri\"", "\"colour\":\"red\",\"uri\""),
        ] {
            let reason = reason(change.0, change.1)
            #expect(reason.contains("newer Glovebox"), "\(reason)")
        }
        #expect(reason("\"v\":1,", "") != "read" && reason("\"v\":1", "\"v\":0") != "read")
        #expect(reason("\"v\":1", "\"v\":\"1\"") != "read")
    }

    @Test func `identifiers and numbers have one form`() {
        for (old, new) in [
            (Journals.uuid, Journals.uuid.uppercased()), (Journals.uuid, "instance"),
            (Journals.uuid, Journals.uuid + "0"),
            (Journals.uuid, "../../../../../../../../../../../xx"),
            (Journals.name, Journals.name.uppercased()), (Journals.name, "../" + Journals.name),
            ("0f0e0d0c-1111", "0f0e0d0c_1111"), ("\"id\":7", "\"id\":2147483648"),
            ("\"id\":7", "\"id\":07"), ("\"pause_max\":60", "\"pause_max\":4294967296"),
            ("\"pause_max\":60", "\"pause_max\":-1"), ("\"pid\":100", "\"pid\":0"),
            ("\"pid\":100", "\"pid\":-1"), ("\"pid\":100", "\"pid\":4294967297"),
            ("\"start\":1", "\"start\":-1"), ("\"start\":1", "\"start\":9223372036854775808"),
            ("\"start\":1", "\"start\":1,\"start\":1"), ("\"start\":1", "\"start\":1,\"x\":1"),
            ("\"mode\":", "\"mode\": "), ("\"user\":\"alice\",", ""),
            ("\"alice\"", "\"\\u0061lice\""), ("\"alice\"", "7"), (".000000000Z", "Z"),
            ("2027-01-15", "2027-02-30"), ("2027-01-15T", "2027-01-15 "),
            ("\"monotonic\":5000000000", "\"monotonic\":-1"),
        ] { #expect(reason(old, new) != "read", "\(old) → \(new)") }
    }

    @Test func `texts for people have a limit, and are cut to it when they are written`() throws {
        let long = String(repeating: "ü", count: 2_000)
        #expect(reason("alice", String(repeating: "a", count: 257)) != "read")
        #expect(reason("alice", String(repeating: "a", count: 256)) == "read")
        #expect(reason("qemu:///system", String(repeating: "a", count: 1_025)) != "read")
        #expect(reason("instance-0000002a", String(repeating: "a", count: 513)) != "read")
        var opening = Journals.opening()
        (opening.user, opening.uri, opening.domain) = (long, long, "\u{0}" + long)
        let (history, _) = try SessionHistory.beginning(opening, at: Journals.times(0))
        #expect(history.opening.user == String(repeating: "ü", count: 128))
        #expect(history.opening.domain.utf8.count == 511)
        let next = try history.appending(.invalidated(reason: long), at: Journals.times(1)).history
        #expect(next.records[1].record == .invalidated(reason: String(repeating: "ü", count: 512)))
    }

    @Test func `what could not be read again is not written`() throws {
        let history = try SessionHistory(
            journal: Journals.journal(Array(Journals.strict.prefix(3)))
        )
        func isWritten(_ record: SessionRecord, _ number: Int = 9) -> Bool {
            (try? history.appending(record, at: Journals.times(number))) != nil
        }
        #expect(isWritten(.connected(readers: [Journals.reader])))
        #expect(!isWritten(.connected(readers: [ProcessIdentity(processID: 0, startTicks: 1)])))
        #expect(!isWritten(.connected(readers: [ProcessIdentity(processID: 9, startTicks: .max)])))
        let many = [ProcessIdentity](repeating: Journals.reader, count: 65)
        #expect(!isWritten(.connected(readers: many)) && !isWritten(.suspended))
        #expect(!isWritten(.resuming, 1), "the clock goes back")
        #expect(isWritten(.recovering(by: Journals.reader), 1), "the host was started anew")
        var opening = Journals.opening()
        opening.run = DomainRun(uuid: "not one", id: 1)
        #expect(refusal { try SessionHistory.beginning(opening, at: .now) } != nil)
        let early = Journals.journal([Journals.strict[0], .suspending(seenRunning: 6_000_000_000)])
        #expect(refusal { try SessionHistory(journal: early) }?.contains("later") == true)
    }
}

extension String {
    fileprivate func components(before separator: String) -> String {
        firstRange(of: separator).map { String(self[..<$0.lowerBound]) } ?? self
    }
}
