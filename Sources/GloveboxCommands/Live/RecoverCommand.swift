internal import ArgumentParser
internal import Casework
internal import Custody
internal import Glovebox
internal import JSON

struct RecoverCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover",
        abstract: "Give back instances that a killed run or a power loss left held.",
        discussion: """
            Examples:
              glovebox recover
              glovebox recover 20260131T235959Z-0123456789abcdef
              glovebox recover --connect 'qemu:///system?socket=/run/libvirt/libvirt-sock'

            Resumes only the very run of a domain that a journal says we suspended, in this boot of the \
            host, where it is still paused for that reason. May be run at any time and as often as you \
            like; sessions that somebody is at work in are left alone. `make install` brings a systemd \
            timer that runs it every minute.

            Exit codes: 0 nothing is held · 5 a journal cannot be relied on · 7 something is still held.
            """
    )

    @Option(help: ArgumentHelp("Which libvirt, if not the host's own.", valueName: "uri"))
    var connect: String?

    @Option(
        help: ArgumentHelp(
            "Where glovebox-engine is, if not beside this program.",
            valueName: "file"
        )
    )
    var enginePath: String?

    @Flag(name: .shortAndLong, help: "Say nothing where nothing had to be done.")
    var quiet = false

    @Flag(help: "Print JSON, one object a session.")
    var json = false

    @Argument(help: "The session, if not all of them.")
    var session: String?

    func run() throws {
        let directory = try HostState.directory()
        let entries = try unended(directory)
        guard !entries.isEmpty else {
            if !quiet, !json { Message.say("glovebox: nothing is held.") }
            return
        }
        let starting = CustodianProgram(path: enginePath)
        let rescue = Rescue(stateDirectory: directory, connect: connect, starting: starting)
        let sessions = rescue.recover(entries)
        try show(sessions)
        if sessions.contains(where: { $0.outcome == .held }) { throw ExitCode(7) }
        if sessions.contains(where: { $0.outcome == .refused }) { throw ExitCode(5) }
    }

    /// The sessions that have not ended; libvirt need not be asked where there is none.
    private func unended(_ directory: String) throws(GloveboxError) -> [SessionEntry] {
        let entries: [SessionEntry]
        do throws(SessionError) {
            entries = try SessionStore(stateDirectory: directory).list()
        } catch {
            throw GloveboxError(error)
        }
        guard let session else { return entries.filter { !$0.hasEnded } }
        guard let entry = entries.first(where: { $0.name == session }) else {
            throw GloveboxError(
                .notFound,
                "There is no session \(session).",
                advice: "`glovebox sessions` lists them."
            )
        }
        return entry.hasEnded ? [] : [entry]
    }

    private func show(_ sessions: [RecoveredSession]) throws {
        var output = StandardOutput()
        for found in sessions {
            if json {
                try output.write(Self.json(found))
            } else if !(quiet && found.outcome == .active) {
                let text = "\(found.session)  \(found.outcome.rawValue)  \(found.detail)"
                try output.write(Message.harmlessLine(text))
            }
        }
        try output.flush()
    }

    private static func json(_ found: RecoveredSession) -> [UInt8] {
        var json = JSONText()
        json.object { json in
            json.member("session", found.session)
            json.member("uuid", found.uuid)
            json.member("domain", found.domain)
            json.member("outcome", found.outcome.rawValue)
            json.member("detail", Message.readable(found.detail))
        }
        json.endLine()
        return json.bytes
    }
}
