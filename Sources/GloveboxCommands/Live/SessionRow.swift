internal import Custody
internal import DiskFormats
internal import JSON

/// A session in a listing.
struct SessionRow {
    static let heading = row("SESSION", "STATE", "PAUSED", "BY", "INSTANCE")

    private let entry: SessionEntry

    init(_ entry: SessionEntry) { self.entry = entry }

    /// The row; to be made harmless for terminals.
    var text: String {
        guard case .history(let history) = entry.content else {
            guard case .refused(let why) = entry.content else { return "" }
            return Self.row(entry.name, state, "-", "-", why)
        }
        let opening = history.opening
        let paused = history.pausedNanoseconds.map { "\($0 / 1_000_000) ms" } ?? "-"
        let subject = "\(opening.run.uuid) \(opening.domain)"
        return Self.row(entry.name, state, paused, opening.user, subject)
    }

    /// The object, with its newline.
    var json: [UInt8] {
        var json = JSONText()
        json.object { json in
            json.member("session", entry.name)
            json.member("state", word)
            switch entry.content {
            case .refused(let why): json.member("error", why)
            case .history(let history): Self.write(history, to: &json)
            }
        }
        json.endLine()
        return json.bytes
    }

    private static func write(_ history: SessionHistory, to json: inout JSONText) {
        let opening = history.opening
        json.member("uuid", opening.run.uuid)
        json.member("domain", opening.domain)
        json.member("domain_id", Int(opening.run.id))
        json.member("mode", opening.mode.rawValue)
        json.member("user", opening.user)
        json.member("uri", opening.uri)
        if let ending = history.ending { json.member("ending", ending.rawValue) }
        if let paused = history.pausedNanoseconds {
            json.member("paused_ms", paused / 1_000_000)
        }
        json.key("steps")
        json.array { json in
            for line in history.records {
                json.object { json in
                    json.member(plain: "step", line.record.event)
                    json.member(
                        "time",
                        Timestamp(seconds: line.seconds, nanoseconds: line.nanoseconds)
                    )
                }
            }
        }
    }

    /// What a person reads.
    private var state: String {
        guard case .history(let history) = entry.content else { return "unreliable" }
        if let ending = history.ending { return ending.rawValue }
        return entry.isActive ? "active" : "left behind"
    }

    /// What a program reads.
    private var word: String {
        guard case .history(let history) = entry.content else { return "unreliable" }
        if history.hasEnded { return "ended" }
        return entry.isActive ? "active" : "left-behind"
    }

    private static func row(
        _ session: String,
        _ state: String,
        _ paused: String,
        _ user: String,
        _ subject: String
    ) -> String {
        let cells = [
            session.padded(to: 33), state.padded(to: 11), paused.aligned(to: 10),
            user.padded(to: 10), subject,
        ]
        return cells.joined(separator: "  ")
    }
}
