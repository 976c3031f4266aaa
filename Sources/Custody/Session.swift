internal import Glibc
internal import JSON
package import Linux
internal import Synchronization

/// Whoever keeps a session's journal.
package protocol SessionWriting: AnyObject, Sendable {
    /// Writes `record` down; it is on stable storage when this returns.
    ///
    /// Where it throws, the record counts as not written, and the next one takes its place.
    func append(_ record: SessionRecord) throws(SystemError)
}

/// A session that this process owns, by the lock on its directory, for as long as this lives.
package final class Session: SessionWriting, Sendable {
    private struct State {
        var history: SessionHistory
        /// Up to where something may stand in the file.
        var writtenEnd: UInt64
    }

    /// Its name, which is that of its directory.
    package let name: String
    /// Held open for its lock.
    private let directory: FileDescriptor
    private let journal: FileDescriptor
    private let state: Mutex<State>

    /// Owns what is open and, `directory`, locked.
    init(
        name: String,
        directory: FileDescriptor,
        journal: FileDescriptor,
        history: SessionHistory
    ) {
        self.name = name
        self.directory = directory
        self.journal = journal
        state = Mutex(
            State(history: history, writtenEnd: history.byteCount + history.tornByteCount)
        )
    }

    /// What the journal says, all that was appended included.
    package var history: SessionHistory { state.withLock { $0.history } }

    package func append(_ record: SessionRecord) throws(SystemError) {
        try append(record, at: .now)
    }

    /// The same at a time of one's choice.
    ///
    /// Throws EINVAL where the record may not stand there, EFBIG where the journal has become too long.
    func append(_ record: SessionRecord, at times: Times) throws(SystemError) {
        try state.withLock { state throws(SystemError) in
            let offset = state.history.byteCount
            let next: SessionHistory
            var bytes: [UInt8]
            do throws(JSONError) {
                (next, bytes) = try state.history.appending(record, at: times)
            } catch {
                throw SystemError(call: "append", path: journal.path, errno: EINVAL)
            }
            guard next.byteCount <= SessionJournal.bytesMax else {
                throw SystemError(call: "append", path: journal.path, errno: EFBIG)
            }
            // What is left of a line that could not be written, or not entirely, goes with the same call.
            let rest = Int(clamping: max(state.writtenEnd, next.byteCount) - next.byteCount)
            bytes += [UInt8](repeating: 0, count: rest)
            state.writtenEnd = max(state.writtenEnd, next.byteCount)
            do throws(SystemError) {
                try journal.write(bytes, at: offset)
                try journal.synchronizeData()
            } catch {
                // Where the disk is full, what was not written must not be written over either.
                if let size = try? journal.status().size {
                    state.writtenEnd = min(state.writtenEnd, size)
                }
                throw error
            }
            state.history = next
            state.writtenEnd = next.byteCount
            // Nothing comes any more: the room that was kept for it is given back.
            if next.hasEnded { try? journal.truncate(to: next.byteCount) }
        }
    }
}

extension Times {
    /// Now.
    static var now: Times {
        let wall = WallClock.now
        return Times(
            seconds: wall.seconds,
            nanoseconds: wall.nanoseconds,
            monotonic: monotonicNanoseconds()
        )
    }
}
