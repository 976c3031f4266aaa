internal import Casework
internal import JSON

/// A line of the audit log as a person reads it.
struct AuditRow {
    static let heading = row("LINE", "TIME (UTC)", "WHO", "WHAT", "OF WHAT")

    /// The row, with its newline; to be made harmless for terminals.
    let text: String

    init(_ line: JSONValue) {
        func member(_ name: String) -> String { line.member(name) ?? "" }
        let event = member("event")
        let time = String(member("time").prefix(19))
        var subject: String
        switch event {
        case "read": subject = member("target")
        case "sealed": subject = "\(member("bag")) \(member("sha256"))"
        case "recovered": subject = "\(member("bytes")) bytes of a torn line"
        case "continued": subject = member("file")
        default: subject = ""
        }
        for (name, word) in [("approval", "approval"), ("reason", "because:")] {
            if let value = line.member(name) { subject += " \(word) \(value)" }
        }
        text = Self.row(
            member("seq"),
            time,
            Self.who(line),
            event == "read" ? member("command") : event,
            subject
        )
    }

    /// Who logged in or called sudo, before the user that they became.
    private static func who(_ line: JSONValue) -> String {
        guard let user = line.member("uid") else { return "-" }
        let person = line.member("login") ?? line.member("sudo_user")
        return person.map { "\($0) (uid \(user))" } ?? "uid \(user)"
    }

    private static func row(
        _ line: String,
        _ time: String,
        _ who: String,
        _ what: String,
        _ subject: String
    ) -> String {
        let cells = [
            line.aligned(to: 8), time.padded(to: 19), who.padded(to: 16), what.padded(to: 9),
            subject,
        ]
        return cells.joined(separator: "  ") + "\n"
    }
}
