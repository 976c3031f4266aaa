import Foundation
import Linux
import Synchronization
import TestSupport
import Testing

@testable import Custody

struct SessionStoreTests {
    private let other = "20260201T000000Z-0123456789abcdef"

    @Test func `a name is the time and what nobody guesses`() {
        let names = (0..<100).map { _ in SessionStore.newName() }
        #expect(names.allSatisfy { SessionForm.isName($0) } && Set(names).count == 100)
    }

    @Test func `a session is made, written, ended and listed`() throws {
        let scratch = try Scratch()
        #expect(try scratch.store.list().isEmpty, "nothing is there, and nothing is made")
        #expect(!FileManager.default.fileExists(atPath: scratch.sessions))
        let session = try scratch.store.begin(Journals.opening())
        #expect(try scratch.store.list().map(\.isActive) == [true])
        let size = { try Data(contentsOf: URL(filePath: scratch.journal())).count }
        #expect(try size() == 65_536, "room is kept")
        for (number, record) in Journals.strict.enumerated().dropFirst() {
            guard case .suspending = record else {
                try session.append(record)
                continue
            }
            try session.append(.suspending(seenRunning: monotonicNanoseconds()))
            #expect(scratch.store.onlyHistory?.records.count == number + 1)
        }
        let history = session.history
        #expect(history.hasEnded && history.ending == .finished)
        #expect(scratch.store.onlyHistory == history)
        #expect(try UInt64(size()) == history.byteCount, "room that nobody needs is given back")
        #expect(throws: SystemError.self) { try session.append(.resuming) }
        #expect(scratch.store.onlyHistory == history)
        for (path, mode) in [
            (scratch.path + "/state", 0o700), (scratch.sessions, 0o700),
            ("\(scratch.sessions)/\(Journals.name)", 0o700), (scratch.journal(), 0o600),
        ] {
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect(attributes[.posixPermissions] as? Int == mode, "\(path)")
        }
    }

    @Test func `one domain has one session, and what is left behind is taken over`() throws {
        let scratch = try Scratch()
        let store = scratch.store
        var session: Session? = try store.begin(Journals.opening())
        try session?.append(.suspending(seenRunning: 0))
        func holder() -> SessionEntry? {
            do throws(SessionError) {
                _ = try store.begin(Journals.opening(session: other))
            } catch {
                if case .held(let entry) = error { return entry }
            }
            return nil
        }
        #expect(holder()?.isActive == true && holder()?.name == Journals.name)
        #expect(try store.takeOver(Journals.name) == nil, "somebody is at work on it")
        session = nil
        #expect(holder()?.isActive == false, "left behind is not ended")
        let taken = try #require(try store.takeOver(Journals.name))
        #expect(taken.history.owesResume != .nothing)
        #expect(try store.list().map(\.isActive) == [true])
        #expect(try store.takeOver(Journals.name) == nil)
        for record: SessionRecord in [
            .recovering(by: .own), .resuming, .resumed(.inferred), .ended(.recovered),
        ] { try taken.append(record) }
        #expect(holder() == nil, "what has ended is in nobody's way")
        let another = Journals.opening(
            session: "20260201T000001Z-0123456789abcdef",
            uuid: Journals.uuid.replacing("6f1c", with: "7f1c")
        )
        #expect(throws: Never.self) { try store.begin(another) }
        #expect(try store.list().map(\.name) == [Journals.name, other, another.session])
        #expect(throws: SessionError.noSession("none")) { try store.takeOver("none") }
        let missing = "20260131T235959Z-ffffffffffffffff"
        #expect(throws: SessionError.noSession(missing)) { try store.takeOver(missing) }
        #expect(refusal { try store.begin(another) } != nil, "a name is given once")
    }

    @Test func `of many that begin at once one wins`() throws {
        for _ in 0..<10 {
            let scratch = try Scratch()
            let store = scratch.store
            let begun = Mutex<[Session]>([])
            let refused = Mutex(0)
            concurrently(8) { number in
                let name = "20260131T235959Z-000000000000000\(number)"
                do throws(SessionError) {
                    let session = try store.begin(Journals.opening(session: name))
                    begun.withLock { $0.append(session) }
                } catch {
                    guard case .held(let entry) = error else { return }
                    refused.withLock { $0 += entry.isActive ? 1 : 0 }
                }
                _ = try? store.list()
            }
            #expect(begun.withLock(\.count) == 1 && refused.withLock { $0 } == 7)
        }
    }

    @Test func `of many that take over at once one wins, whoever looks`() throws {
        for _ in 0..<10 {
            let scratch = try Scratch()
            try scratch.leave(Array(Journals.strict.prefix(3)))
            let store = scratch.store
            let taken = Mutex<[Session]>([])
            let active = Mutex(0)
            concurrently(8) { number in
                if number % 2 == 0 {
                    for entry in (try? store.list()) ?? [] where entry.isActive {
                        active.withLock { $0 += taken.withLock(\.isEmpty) ? 0 : 1 }
                    }
                } else if let session = try? store.takeOver(Journals.name) {
                    taken.withLock { $0.append(session) }
                }
            }
            #expect(taken.withLock(\.count) == 1)
        }
    }

    @Test func `whoever looks while a line is written sees it whole or not at all`() throws {
        let scratch = try Scratch()
        let store = scratch.store
        let session = try store.begin(Journals.opening())
        let isDone = Atomic(false)
        let seen = Mutex<[SessionEntry]>([])
        concurrently(2) { number in
            if number == 0 {
                for _ in 0..<100 {
                    try? session.append(.invalidated(reason: String(repeating: "x", count: 300)))
                }
                isDone.store(true, ordering: .sequentiallyConsistent)
            } else {
                while !isDone.load(ordering: .sequentiallyConsistent) {
                    let entries = (try? store.list()) ?? []
                    seen.withLock { $0 += entries }
                }
            }
        }
        #expect(session.history.records.count == 101)
        for entry in seen.withLock({ $0 }) {
            guard entry.isActive, case .history(let history) = entry.content else {
                Issue.record("\(entry.content)")
                return
            }
            #expect(session.history.records.starts(with: history.records))
        }
    }

    @Test func `what a crash left of a line is written over`() throws {
        let next = Journals.lines(Journals.strict)[3]
        for kept in [1, 40, next.count - 1] {
            let scratch = try Scratch()
            try scratch.leave(Array(Journals.strict.prefix(3)))
            let rest = Array(next.prefix(kept)) + [UInt8](repeating: 0, count: 9_000)
            try scratch.write(Journals.journal(Array(Journals.strict.prefix(3))) + rest)
            let session = try #require(try scratch.store.takeOver(Journals.name))
            #expect(session.history.tornByteCount == UInt64(kept))
            try session.append(.resuming, at: Journals.times(3))
            #expect(session.history.records.count == 4)
            #expect(scratch.store.onlyHistory?.records.map(\.record).last == .resuming)
        }
    }

    @Test func `what a killed process left of making or removing is removed`() throws {
        let scratch = try Scratch()
        _ = try scratch.store.begin(Journals.opening())
        for name in [".new", ".old"] {
            let path = "\(scratch.sessions)/\(name)"
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o700]
            )
            try Data("half".utf8).write(to: URL(filePath: path + "/journal"))
        }
        #expect(try scratch.store.list().count == 1)
        let uuid = Journals.uuid.replacing("6f1c", with: "7f1c")
        _ = try scratch.store.begin(Journals.opening(session: other, uuid: uuid))
        #expect(try scratch.names() == [Journals.name, other])
    }

    @Test func `the oldest that have ended are removed`() throws {
        let scratch = try Scratch()
        let names = (0..<6).map { "20260131T23595\($0)Z-0123456789abcdef" }
        for (index, name) in names.enumerated() {
            var records = index == 1 ? Array(Journals.strict.prefix(3)) : Journals.strict
            records[0] = .opened(Journals.opening(session: name))
            try scratch.leave(records, name: name)
        }
        try scratch.write([1, 2, 3], names[0])
        let held = try #require(try scratch.store.takeOver(names[2]))
        scratch.store.prune(keeping: 2)
        #expect(try scratch.names() == [names[0], names[1], names[2], names[4], names[5]])
        scratch.store.prune(keeping: -1)
        #expect(try scratch.names() == [names[0], names[1], names[2]])
        #expect(held.history.hasEnded)
    }
}
