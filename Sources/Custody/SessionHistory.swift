internal import JSON

/// What a session's journal says, all of which has been checked.
package struct SessionHistory: Equatable, Sendable {
    /// A record, and when it was written.
    package struct Line: Equatable, Sendable {
        package var record: SessionRecord
        /// By the host's clock, since 1970-01-01 UTC.
        package var seconds: Int64
        /// After ``seconds``.
        package var nanoseconds: UInt32
        /// By the clock that only goes forward, and begins anew when the host starts.
        package var monotonic: UInt64

        package init(record: SessionRecord, seconds: Int64, nanoseconds: UInt32, monotonic: UInt64)
        {
            self.record = record
            self.seconds = seconds
            self.nanoseconds = nanoseconds
            self.monotonic = monotonic
        }
    }

    /// Whether a resume is owed.
    package enum OwedResume: Equatable, Sendable {
        /// We have suspended nothing, or have let go of it.
        case nothing
        /// We were about to suspend it, at `suspending`, after it was seen running (both in monotonic
        /// nanoseconds); whether we did is not known.
        case intent(seenRunning: UInt64, suspending: UInt64)
        /// We have suspended it.
        case confirmed
    }

    package let opening: SessionRecord.Opening
    /// All records, that of the opening first.
    package private(set) var records: [Line]
    private var order: SessionOrder
    private var chain: HashChain
    /// Where in the file the next line begins.
    private(set) var byteCount: UInt64
    /// How much stands there already: what is left of a line that was being written.
    private(set) var tornByteCount: UInt64

    /// Reads a journal: all complete lines of it, each of which has to follow from those before it.
    ///
    /// What a crash leaves of a last line is passed over. Anything else that is not as a custodian
    /// writes it is refused, with the line and the reason.
    package init(journal: [UInt8]) throws(SessionError) {
        guard journal.count <= SessionJournal.bytesMax else {
            throw .refused("it has more than \(SessionJournal.bytesMax) bytes")
        }
        let (lines, tail) = try Self.refusing { () throws(JSONError) in
            try SessionJournal.lines(journal)
        }
        guard let first = lines.first else { throw .refused("it has no complete line") }
        try self.init(first: first)
        for (index, bytes) in lines.enumerated().dropFirst() {
            try Self.refusing(line: index + 1) { () throws(JSONError) in try take(bytes) }
        }
        guard SessionJournal.isTorn(tail, after: chain) else {
            throw .refused("what stands after line \(lines.count) is not the beginning of a line")
        }
        tornByteCount = UInt64(tail.count)
    }

    private init(first bytes: [UInt8]) throws(SessionError) {
        var chain = HashChain()
        let line = try Self.refusing(line: 1) { () throws(JSONError) in
            try SessionJournal.decoded(bytes, after: &chain)
        }
        guard case .opened(let opening) = line.record else {
            throw .refused("line 1 does not open a session")
        }
        self.opening = opening
        self.chain = chain
        records = [line]
        order = SessionOrder(opening.mode)
        byteCount = UInt64(bytes.count) + 1
        tornByteCount = 0
    }

    /// Goes on with the next line, without its newline.
    private mutating func take(_ bytes: [UInt8]) throws(JSONError) {
        var chain = chain
        let line = try SessionJournal.decoded(bytes, after: &chain)
        if case .suspending(let seenRunning) = line.record, seenRunning > line.monotonic {
            throw JSONError("\"seen_running\" is later than the line itself")
        }
        // Only whoever takes a session over may have started the clock anew.
        if case .recovering = line.record {
        } else if let last = records.last, last.monotonic > line.monotonic {
            throw JSONError("\"monotonic\" is earlier than in the line before it")
        }
        guard order.take(line.record) else {
            throw JSONError("\"\(line.record.event)\" may not stand here")
        }
        self.chain = chain
        records.append(line)
        byteCount += UInt64(bytes.count) + 1
        tornByteCount = 0
    }

    /// The beginning of a history, and its first line.
    static func beginning(
        _ opening: SessionRecord.Opening,
        at times: Times
    ) throws(SessionError) -> (history: SessionHistory, line: [UInt8]) {
        var chain = HashChain()
        let line = times.line(SessionRecord.opened(opening).cut)
        let bytes = SessionJournal.encoded(line, after: &chain)
        return (try SessionHistory(journal: bytes), bytes)
    }

    /// The history with one more record, and the line that says so; what cannot be read again, or may
    /// not stand here, is refused.
    func appending(
        _ record: SessionRecord,
        at times: Times
    ) throws(JSONError) -> (history: SessionHistory, line: [UInt8]) {
        var (next, chain) = (self, chain)
        let bytes = SessionJournal.encoded(times.line(record.cut), after: &chain)
        try next.take(bytes.dropLast())
        return (next, bytes)
    }

    private static func refusing<Value>(
        line: Int? = nil,
        _ body: () throws(JSONError) -> Value
    ) throws(SessionError) -> Value {
        do throws(JSONError) { return try body() } catch {
            guard let line else { throw .refused("\(error)") }
            throw .refused("line \(line): \(error)")
        }
    }
}

/// The clocks at one moment.
struct Times: Equatable, Sendable {
    var seconds: Int64
    var nanoseconds: UInt32
    var monotonic: UInt64

    func line(_ record: SessionRecord) -> SessionHistory.Line {
        SessionHistory.Line(
            record: record,
            seconds: seconds,
            nanoseconds: nanoseconds,
            monotonic: monotonic
        )
    }
}

extension SessionHistory {
    /// Whether it says that nothing is held any more.
    package var hasEnded: Bool { order.hasEnded }

    /// How it ended; nil where it has not.
    package var ending: SessionRecord.Ending? {
        guard case .ended(let ending)? = records.last?.record else { return nil }
        return ending
    }

    /// Whether a resume is owed.
    package var owesResume: OwedResume {
        guard order.owesResume else { return .nothing }
        guard order.pause == .intended else { return .confirmed }
        for line in records {
            if case .suspending(let seenRunning) = line.record {
                return .intent(seenRunning: seenRunning, suspending: line.monotonic)
            }
        }
        return .nothing
    }

    /// Whether a backup job of ours may be there still.
    package var owesJob: Bool { order.owesJob }

    /// The processes that may be reading still, besides the program.
    package var readers: [ProcessIdentity] {
        guard !hasEnded, order.reading != .none else { return [] }
        for line in records.reversed() {
            if case .connected(let readers) = line.record { return readers }
        }
        return []
    }

    /// The longest time for which the domain can have been paused by us: from before it was suspended
    /// until it was seen running again; nil where that never was, or is not known.
    package var pausedNanoseconds: UInt64? {
        var began: UInt64?
        for line in records {
            switch line.record {
            case .suspending: began = line.monotonic
            case .resumed(.confirmed), .resumed(.inferred):
                guard let began, began <= line.monotonic else { return nil }
                return line.monotonic - began
            default: break
            }
        }
        return nil
    }
}
