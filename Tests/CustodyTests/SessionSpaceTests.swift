import Foundation
import Linux
import Testing

@testable import Custody

@Suite(.enabled(if: OwnProcess.effectiveUserID == 0, "mounting needs root"), .serialized)
struct SessionSpaceTests {
    /// Runs `body` where there is little room, and with it what takes all of that.
    private func small(_ body: (Scratch, _ fill: () throws -> Void) throws -> Void) throws {
        let scratch = try Scratch()
        try #require(try run("mount", "-t", "tmpfs", "-o", "size=256k", "none", scratch.path) == 0)
        defer { _ = try? run("umount", "-l", scratch.path) }
        try body(scratch) {
            try run("sh", "-c", "cat /dev/zero > \(scratch.path)/filler 2> /dev/null")
        }
    }

    @Test func `a full disk is met at the beginning, and nothing is left of it`() throws {
        try small { scratch, fill in
            let full = Result { () throws(SessionError) in
                _ = try scratch.store.begin(Journals.opening(session: SessionStore.newName()))
            }
            #expect(throws: Never.self) { try full.get() }
            try fill()
            let uuid = Journals.uuid.replacing("6f1c", with: "7f1c")
            do throws(SessionError) {
                _ = try scratch.store.begin(Journals.opening(uuid: uuid))
                Issue.record("it had room")
            } catch {
                guard case .system(let error) = error else { throw error }
                #expect(error.errno == ENOSPC)
            }
            #expect(try scratch.names().count == 1)
            try FileManager.default.removeItem(atPath: scratch.path + "/filler")
            #expect(throws: Never.self) { try scratch.store.begin(Journals.opening(uuid: uuid)) }
        }
    }

    @Test func `a disk that fills up later is not met`() throws {
        try small { scratch, fill in
            let session = try scratch.store.begin(Journals.opening(.brief))
            try fill()
            try session.append(.suspending(seenRunning: 0))
            try session.append(.suspended)
            for _ in 0..<40 { try session.append(.invalidated(reason: long)) }
            try session.append(.resuming)
            try session.append(.resumed(.confirmed))
            #expect(session.history.byteCount > 50_000)
            #expect(scratch.store.onlyHistory == session.history)
        }
    }

    @Test func `a record that could not be written is not there, and the next takes its place`()
        throws
    {
        try small { scratch, fill in
            let session = try scratch.store.begin(Journals.opening())
            try session.append(.suspending(seenRunning: 0))
            try fill()
            var room: Int { Int(SessionJournal.reservedBytes) - Int(session.history.byteCount) }
            while room > 4_000 { try session.append(.invalidated(reason: long)) }
            // What is left has room for the record after the next, but not for the next.
            while room > 1_000 {
                let reason = String(repeating: "x", count: min(1_000, room - 900))
                try session.append(.invalidated(reason: reason))
            }
            let before = session.history
            #expect(throws: SystemError.self) { try session.append(.invalidated(reason: long)) }
            #expect(session.history == before)
            #expect(scratch.store.onlyHistory?.records == before.records)
            try session.append(.recovering(by: .own))
            #expect(session.history.records.count == before.records.count + 1)
            #expect(scratch.store.onlyHistory == session.history)
        }
    }

    private let long = String(repeating: "x", count: 1_024)
}
