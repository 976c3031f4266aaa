internal import Digests
internal import DiskFormats
internal import JSON

/// The lines of a journal: how they are written, and what of a file is a line at all.
///
/// Each is one of ``HashChain``; `sum`, its last member, is the SHA-256 of all that comes before it,
/// so that the last line, which no other one vouches for, is known to be whole.
enum SessionJournal {
    /// Of the format; a reader refuses a higher one.
    static let version = 1
    /// The longest file that is read or written.
    static let bytesMax = 1 << 20
    /// How long a file may be to which attempts at recovery are still added.
    static let attemptBytesMax: UInt64 = 1 << 19
    /// The room that is kept in advance.
    static let reservedBytes: UInt64 = 1 << 16

    /// `,"sum":"`, 64 digits, `"}`.
    private static let sumBeginning = Array(",\"sum\":\"".utf8)
    private static let sumCount = sumBeginning.count + 2 * Digest.byteCount + 2

    /// The line that says `line` and follows `chain`, newline included.
    static func encoded(_ line: SessionHistory.Line, after chain: inout HashChain) -> [UInt8] {
        let isFirst = chain.sequence == 0
        return chain.line { json in
            if isFirst { json.member("v", version) }
            json.member(plain: "event", line.record.event)
            line.record.write(to: &json)
            json.member(
                "time",
                Timestamp(seconds: line.seconds, nanoseconds: line.nanoseconds)
            )
            json.member("monotonic", line.monotonic)
            json.member("sum", "\(Digest(of: json.bytes))")
        }
    }

    /// What `bytes`, without the newline, say; they have to be the line that follows `chain`.
    static func decoded(
        _ bytes: [UInt8],
        after chain: inout HashChain
    ) throws(JSONError) -> SessionHistory.Line {
        try refuseNewer(bytes, isFirst: chain.sequence == 0)
        let content = bytes.dropLast(sumCount)
        let sum = bytes.dropFirst(content.count + sumBeginning.count).dropLast(2)
        guard Digest(hexadecimal: sum) == Digest(of: Array(content)) else {
            throw JSONError("its sum is wrong")
        }
        var before = chain
        guard chain.skip(bytes) else {
            throw JSONError("it does not follow from the line before it")
        }
        var members = try JSONMembers(JSONValue(bytes), of: "it")
        _ = (try members.value("seq"), try members.value("prev"), members.optional("v"))
        let event = try members.string("event")
        let record = try SessionRecord(event, &members)
        guard let time = Timestamp(iso8601: try members.string("time")) else {
            throw JSONError("\"time\" is no time")
        }
        let line = SessionHistory.Line(
            record: record,
            seconds: time.seconds,
            nanoseconds: time.nanoseconds,
            monotonic: try members.integer("monotonic")
        )
        _ = try members.string("sum")
        do throws(JSONError) { try members.end() } catch {
            throw JSONError("\(error): a newer Glovebox may have written it")
        }
        // There is one way to write each line: what was written otherwise was not written by us.
        guard encoded(line, after: &before).dropLast().elementsEqual(bytes) else {
            throw JSONError("it is not written as Glovebox writes it")
        }
        return line
    }

    private static func refuseNewer(_ bytes: [UInt8], isFirst: Bool) throws(JSONError) {
        guard isFirst, case .object(let members)? = try? JSONValue(bytes),
            case .integer(let version)? = members.first(where: { $0.name == "v" })?.value,
            version > Self.version
        else { return }
        throw JSONError("its format \(version) is that of a newer Glovebox: use that one")
    }

    /// The complete lines in `journal`, without their newlines, and how many bytes come after them
    /// until the first NUL.
    ///
    /// A crash leaves the beginning of a line, and NULs where nothing was written.
    static func lines(
        _ journal: [UInt8]
    ) throws(JSONError) -> (lines: [[UInt8]], tail: [UInt8]) {
        let written = journal.prefix { $0 != 0 }
        guard journal[written.endIndex...].allSatisfy({ $0 == 0 }) else {
            throw JSONError("something stands after its end, at byte \(written.count)")
        }
        var lines = written.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
        let tail = lines.popLast() ?? []
        return (lines, tail)
    }

    /// Whether `tail` can be what was written of a line that follows `chain`.
    static func isTorn(_ tail: [UInt8], after chain: HashChain) -> Bool {
        guard chain.isBegun(by: tail), tail.allSatisfy({ $0 >= 0x20 }) else { return false }
        // In a text the quotation marks would be escaped.
        guard let sum = tail.firstRange(of: sumBeginning) else { return true }
        return tail.count <= sum.lowerBound + sumCount
    }
}
