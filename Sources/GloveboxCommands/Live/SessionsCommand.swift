internal import ArgumentParser
internal import Casework
internal import Custody
internal import Linux

struct SessionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessions",
        abstract: "Show which instances are, and were, held, and how that ended.",
        discussion: """
            Examples:
              glovebox sessions
              glovebox sessions --held
              glovebox sessions --json

            A session is one hold of one instance. `active`: somebody is reading. `left behind`: nobody \
            is, and `glovebox recover` has to give the instance back. `unreliable`: its journal was \
            changed, or is not this program's; it says what is wrong, and docs/sessions.md what to do.
            """
    )

    @Flag(help: "Only those that have not ended.")
    var held = false

    @Flag(help: "Print JSON, one object a line; docs/sessions.md describes it.")
    var json = false

    func run() throws {
        let store = SessionStore(stateDirectory: try HostState.directory())
        let entries: [SessionEntry]
        do throws(SessionError) { entries = try store.list() } catch {
            throw GloveboxError(error)
        }
        var output = StandardOutput()
        if !json { try output.line(SessionRow.heading) }
        for entry in entries where !(held && entry.hasEnded) {
            let row = SessionRow(entry)
            try output.write(json ? row.json : Message.harmlessLine(row.text))
        }
        try output.flush()
    }
}

/// Where sessions are recorded; there is one such place, since one instance is held once.
enum HostState {
    /// The installation's directory of state, which is root's.
    static func directory() throws(GloveboxError) -> String {
        do throws(SystemError) { return try Installation.current().systemStateDirectory } catch {
            throw GloveboxError(.unreadable, "\(error).")
        }
    }
}
