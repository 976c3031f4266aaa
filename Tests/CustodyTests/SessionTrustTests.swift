import Foundation
import Linux
import Testing

@testable import Custody

/// What lies in the directory of state may have been put there by somebody else.
struct SessionTrustTests {
    private static let isRoot = OwnProcess.effectiveUserID == 0
    private let state: [SessionRecord] = Array(Journals.strict.prefix(3))

    /// What is said of the only session, which must also not be taken over.
    private func reason(_ scratch: Scratch) throws -> String {
        let entry = try #require(try scratch.store.list().first)
        guard case .refused(let reason) = entry.content else { return "read" }
        let taking = refusal { try scratch.store.takeOver(Journals.name) }
        #expect(taking?.hasPrefix("not refused") == false)
        return reason
    }

    @Test func `a session that is as it should be is read`() throws {
        let scratch = try Scratch()
        try scratch.leave(state)
        #expect(try reason(scratch) == "read")
    }

    @Test(arguments: [0o640, 0o604, 0o620, 0o602, 0o610])
    func `a journal that is open to others is refused`(_ mode: Int) throws {
        let scratch = try Scratch()
        try scratch.leave(state)
        try scratch.permit(scratch.journal(), mode)
        #expect(try reason(scratch).contains("is open to others"))
        try scratch.permit(scratch.journal(), 0o600)
        try scratch.permit("\(scratch.sessions)/\(Journals.name)", 0o700 | mode & 0o77)
        #expect(try reason(scratch).contains("is open to others"))
    }

    @Test func `a store that is open to others is refused`() throws {
        let scratch = try Scratch()
        try scratch.leave(state)
        try scratch.permit(scratch.sessions, 0o711)
        #expect(refusal { try scratch.store.list() }?.contains("open to others") == true)
        #expect(refusal { try scratch.store.begin(Journals.opening()) } != nil)
        try scratch.permit(scratch.sessions, 0o700)
        try scratch.permit(scratch.path + "/state", 0o720)
        #expect(refusal { try scratch.store.list() }?.contains("open to others") == true)
        try scratch.permit(scratch.path + "/state", 0o711)
        #expect(try scratch.store.list().count == 1, "others may pass through")
    }

    @Test(.enabled(if: isRoot, "giving files away needs root"))
    func `what belongs to others is refused`() throws {
        let scratch = try Scratch()
        try scratch.leave(state)
        let session = "\(scratch.sessions)/\(Journals.name)"
        func give(_ path: String, _ user: UInt32) throws {
            try FileDescriptor.open(path, O_RDONLY).setOwner(user: user, group: 0)
        }
        for path in [scratch.journal(), session] {
            try give(path, 65_534)
            #expect(try reason(scratch).contains("belongs to user 65534"))
            try give(path, 0)
        }
        for path in [scratch.sessions, scratch.path + "/state"] {
            try give(path, 65_534)
            #expect(refusal { try scratch.store.list() }?.contains("belongs to") == true)
            #expect(refusal { try scratch.store.takeOver(Journals.name) } != nil)
            #expect(refusal { try scratch.store.begin(Journals.opening()) } != nil)
            try give(path, 0)
        }
        #expect(try reason(scratch) == "read")
    }

    @Test func `no link is followed, whatever it is in place of`() throws {
        let scratch = try Scratch()
        try scratch.leave(state)
        let session = "\(scratch.sessions)/\(Journals.name)"
        let aside = scratch.path + "/aside"
        for path in [scratch.journal(), session] {
            try FileManager.default.moveItem(atPath: path, toPath: aside)
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: aside)
            #expect(try reason(scratch).contains("symbolic link"))
            try FileManager.default.removeItem(atPath: path)
            try FileManager.default.moveItem(atPath: aside, toPath: path)
        }
        for path in [scratch.sessions, scratch.path + "/state"] {
            try FileManager.default.moveItem(atPath: path, toPath: aside)
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: aside)
            #expect(refusal { try scratch.store.list() }?.contains("symbolic link") == true)
            #expect(refusal { try scratch.store.begin(Journals.opening()) } != nil)
            try FileManager.default.removeItem(atPath: path)
            try FileManager.default.moveItem(atPath: aside, toPath: path)
        }
        try FileManager.default.linkItem(atPath: scratch.journal(), toPath: aside)
        #expect(try reason(scratch).contains("has 2 names"))
        try FileManager.default.removeItem(atPath: aside)
        #expect(try reason(scratch) == "read")
    }

    @Test func `what is no journal is refused`() throws {
        let scratch = try Scratch()
        try scratch.leave(state)
        let path = scratch.journal()
        try scratch.write([UInt8](repeating: 0x20, count: SessionJournal.bytesMax + 1))
        #expect(try reason(scratch).contains("more than 1048576 bytes"))
        try FileManager.default.removeItem(atPath: path)
        #expect(try reason(scratch).contains("has no journal"))
        try run("mkfifo", "-m", "600", path)
        #expect(try reason(scratch).contains("is a FIFO"))
        try FileManager.default.removeItem(atPath: path)
        try run("mkdir", "-m", "700", path)
        #expect(try !reason(scratch).isEmpty)
        try FileManager.default.removeItem(atPath: "\(scratch.sessions)/\(Journals.name)")
        try Data().write(to: URL(filePath: "\(scratch.sessions)/\(Journals.name)"))
        #expect(try reason(scratch).contains("not what it has to be"))
    }

    @Test func `a journal under another session's name is refused`() throws {
        let scratch = try Scratch()
        let name = "20260131T235959Z-aaaaaaaaaaaaaaaa"
        try scratch.leave(state, name: name)
        guard case .refused(let reason) = try scratch.store.list()[0].content else {
            Issue.record("it was read")
            return
        }
        #expect(reason.contains("it is the journal of session \(Journals.name)"))
        #expect(reason.contains("\(name)/journal: "), "the file is named")
        try scratch.leave(state, name: "notes")
        #expect(try scratch.store.list().map(\.name) == [name, "notes"])
        #expect(throws: SessionError.noSession("notes")) { try scratch.store.takeOver("notes") }
    }

    @Test func `one bad journal hides no other, and holds up only its own domain`() throws {
        let scratch = try Scratch()
        var records = Journals.strict
        let other = "20260130T000000Z-0123456789abcdef"
        records[0] = .opened(Journals.opening(session: other))
        try scratch.leave(records, name: other)
        try scratch.leave(state)
        var journal = Journals.journal(state)
        journal[journal.count - 100] ^= 1
        try scratch.write(journal)
        #expect(try reason2(scratch).hasSuffix("line 3: its sum is wrong"))
        var opening = Journals.opening(session: SessionStore.newName())
        #expect(refusal { try scratch.store.begin(opening) }?.contains("line 3") == true)
        opening.run = DomainRun(uuid: Journals.uuid.replacing("6f1c", with: "7f1c"), id: 1)
        #expect(throws: Never.self) { try scratch.store.begin(opening) }
    }

    private func reason2(_ scratch: Scratch) throws -> String {
        let entries = try scratch.store.list()
        guard entries.count == 2, case .history = entries[0].content,
            case .refused(let reason) = entries[1].content
        else { return "\(entries)" }
        return reason
    }
}
