internal import DiskFormats
internal import Glibc
internal import Linux

/// All sessions of an installation: a directory each, beneath STATE/sessions.
///
/// Whoever begins a session, takes one over or removes one has the store's directory locked
/// meanwhile, and whoever looks has it locked against those.
package struct SessionStore: Sendable {
    /// STATE.
    package let stateDirectory: String

    private static let namesMax = 100_000
    /// A line that is being written may be seen half of.
    private static let readAttempts = 3

    /// The sessions beneath that directory, which need not exist yet.
    package init(stateDirectory: String) { self.stateDirectory = stateDirectory }

    /// A name that no session has, such as `20260131T235959Z-0123456789abcdef`.
    package static func newName() -> String {
        var time: [UInt8] = []
        Timestamp(seconds: WallClock.now.seconds).appendISO8601(to: &time, decimals: false)
        time.removeAll { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ":") }
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        let zeros = String(repeating: "0", count: 16 - digits.count)
        return String(decoding: time, as: UTF8.self) + "-" + zeros + digits
    }

    /// All sessions, newest last, with what their journals say.
    ///
    /// Throws where the store itself cannot be relied on, not because of one of its sessions.
    package func list() throws(SessionError) -> [SessionEntry] {
        guard let sessions = try openSessions() else { return [] }
        try inSession { () throws(SystemError) in try sessions.lock(.shared) }
        defer { try? sessions.unlock() }
        return try entries(in: sessions)
    }

    /// Begins a session under the name that `opening` has: directory, lock, and a journal that says
    /// `opened`, all on stable storage, with room for what is to come.
    ///
    /// Throws ``SessionError/held(_:)`` where another session of that uuid has not ended.
    package func begin(_ opening: SessionRecord.Opening) throws(SessionError) -> Session {
        // Before anything is made: it has to be one that can be read again.
        let (history, line) = try SessionHistory.beginning(opening, at: .now)
        let sessions = try makeSessions()
        try inSession { () throws(SystemError) in try sessions.lock(.exclusive) }
        defer { try? sessions.unlock() }
        sweep(sessions)
        try refuseOthers(of: opening.run.uuid, in: sessions)
        do throws(SessionError) {
            return try make(history, line, in: sessions)
        } catch {
            sweep(sessions)
            throw error
        }
    }

    /// Takes a session over that was left behind; nil where somebody is at work on it.
    ///
    /// It may have ended meanwhile: ask its history.
    package func takeOver(_ name: String) throws(SessionError) -> Session? {
        guard SessionForm.isName(name), let sessions = try openSessions() else {
            throw .noSession(name)
        }
        try inSession { () throws(SystemError) in try sessions.lock(.exclusive) }
        defer { try? sessions.unlock() }
        guard let directory = try SessionPlace.directory(name, in: sessions) else {
            throw .noSession(name)
        }
        guard try inSession({ () throws(SystemError) in try directory.lockAlone() }) else {
            return nil
        }
        let (journal, history) = try read(name, in: directory, forWriting: true)
        if !history.hasEnded {
            // A disk that is full by now must not keep anybody from taking things back.
            try? journal.reserve(SessionJournal.reservedBytes)
        }
        return Session(name: name, directory: directory, journal: journal, history: history)
    }

    /// Removes the oldest of those that have ended, so that `keeping` of them stay.
    package func prune(keeping: Int) {
        guard let sessions = try? openSessions(), (try? sessions.lock(.exclusive)) != nil else {
            return
        }
        defer { try? sessions.unlock() }
        sweep(sessions)
        let ended = ((try? entries(in: sessions)) ?? []).filter { entry in
            guard case .history(let history) = entry.content else { return false }
            return history.hasEnded && !entry.isActive
        }
        for entry in ended.dropLast(max(0, keeping)) {
            // In two steps: a session of which half is gone would be one that is damaged.
            guard (try? sessions.rename(entry.name, over: SessionPlace.removed)) != nil else {
                return
            }
            sweep(sessions)
        }
    }

    private func openSessions() throws(SessionError) -> FileDescriptor? {
        guard let state = try SessionPlace.state(stateDirectory) else { return nil }
        return try SessionPlace.directory(SessionPlace.sessions, in: state)
    }

    private func makeSessions() throws(SessionError) -> FileDescriptor {
        let state = try SessionPlace.madeState(stateDirectory)
        let name = SessionPlace.sessions
        if let found = try SessionPlace.directory(name, in: state) { return found }
        do throws(SystemError) {
            try state.makeDirectory(Array(name.utf8))
            try state.synchronize()
        } catch {
            guard error.errno == EEXIST else { throw .system(error) }
        }
        guard let made = try SessionPlace.directory(name, in: state) else {
            throw .refused("\(state.path)/\(name) is not there")
        }
        return made
    }

    /// Removes what somebody who was killed has left of making or removing a session.
    private func sweep(_ sessions: FileDescriptor) {
        for name in [SessionPlace.pending, SessionPlace.removed] {
            try? FileDescriptor.removeOwnDirectory(at: "\(sessions.path)/\(name)")
        }
    }

    /// The session appears under its name when all of it is there.
    private func make(
        _ history: SessionHistory,
        _ line: [UInt8],
        in sessions: FileDescriptor
    ) throws(SessionError) -> Session {
        let (name, pending) = (history.opening.session, SessionPlace.pending)
        guard try inSession({ () throws(SystemError) in try sessions.status(of: name) }) == nil
        else { throw .refused("\(sessions.path)/\(name) exists already") }
        try inSession { () throws(SystemError) in try sessions.makeDirectory(Array(pending.utf8)) }
        let made = try SessionPlace.directory(pending, in: sessions, labelled: name)
        guard let directory = made else { throw .refused("\(sessions.path) is changed by others") }
        let journal = try inSession { () throws(SystemError) in
            guard try directory.lockAlone() else {
                throw SystemError(call: "flock", path: directory.path, errno: EWOULDBLOCK)
            }
            let journal = try directory.createFile(SessionPlace.journal)
            try journal.reserve(SessionJournal.reservedBytes)
            try journal.write(line, at: 0)
            try journal.synchronize()
            try directory.synchronize()
            try sessions.rename(pending, over: name)
            do throws(SystemError) { try sessions.synchronize() } catch {
                try? sessions.rename(name, over: SessionPlace.removed)
                throw error
            }
            return journal
        }
        return Session(name: name, directory: directory, journal: journal, history: history)
    }

    /// Throws where a session of `uuid` has not ended, or may not have.
    private func refuseOthers(
        of uuid: String,
        in sessions: FileDescriptor
    ) throws(SessionError) {
        for entry in try entries(in: sessions) {
            switch entry.content {
            case .history(let history):
                if history.opening.run.uuid == uuid, !history.hasEnded { throw .held(entry) }
            case .refused(let reason):
                // Whatever it says: if it is about this domain, somebody has to look at it first.
                guard let directory = try? SessionPlace.directory(entry.name, in: sessions),
                    let journal = try? SessionPlace.journal(in: directory),
                    let bytes = try? journal.readAll(limit: SessionJournal.bytesMax),
                    bytes.firstRange(of: Array(uuid.utf8)) != nil
                else { continue }
                throw .refused("a session of this domain cannot be relied on: \(reason)")
            }
        }
    }

    private func entries(in sessions: FileDescriptor) throws(SessionError) -> [SessionEntry] {
        let names = try inSession { () throws(SystemError) in
            try sessions.names(limit: Self.namesMax)
        }
        let others = names.filter { ![SessionPlace.pending, SessionPlace.removed].contains($0) }
        return others.sorted().compactMap { entry($0, in: sessions) }
    }

    /// What `name` in the store is; nil where it is gone.
    private func entry(_ name: String, in sessions: FileDescriptor) -> SessionEntry? {
        var entry = SessionEntry(name: name, isActive: false, content: .refused(""))
        do throws(SessionError) {
            guard SessionForm.isName(name) else {
                throw .refused("\(sessions.path)/\(name) is not called as sessions are")
            }
            guard let directory = try SessionPlace.directory(name, in: sessions) else { return nil }
            entry.isActive = try inSession { () throws(SystemError) in
                try directory.isLockedAlone()
            }
            entry.content = .history(try read(name, in: directory).history)
        } catch {
            entry.content = .refused("\(error)")
        }
        return entry
    }

    private func read(
        _ name: String,
        in directory: FileDescriptor,
        forWriting: Bool = false
    ) throws(SessionError) -> (journal: FileDescriptor, history: SessionHistory) {
        guard let journal = try SessionPlace.journal(in: directory, forWriting: forWriting) else {
            throw .refused("\(directory.path) has no journal")
        }
        var refusal = ""
        for _ in 0..<Self.readAttempts {
            let bytes = try inSession { () throws(SystemError) in
                let size = try journal.status().size
                return try journal.bytes(in: 0..<min(size, UInt64(SessionJournal.bytesMax) + 1))
            }
            do throws(SessionError) {
                let history = try SessionHistory(journal: bytes)
                guard history.opening.session == name else {
                    throw .refused("it is the journal of session \(history.opening.session)")
                }
                return (journal, history)
            } catch {
                refusal = "\(error)"
            }
        }
        throw .refused("\(journal.path): \(refusal)")
    }
}
