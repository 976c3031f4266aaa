internal import ArgumentParser
internal import Casework
internal import DiskFormats
internal import Linux

struct ApproveRequestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "request",
        abstract: "Write down what is to be read and why, and sign it as the requester.",
        discussion: """
            Examples:
              glovebox approve request /var/lib/nova/instances/UUID --ticket INC-1234 \
            --scope /home/alice --scope '/var/log/*.gz' --actions list,read,extract \
            --approver b@example.com --expires 8h --reason 'lost files' --key KEY -o case.json
              glovebox approve request old.qcow2 --ticket INC-7 --scope 'old.qcow2:*:/etc' \
            --actions read --approver b@example.com --expires 2026-01-31T18:00:00Z \
            --reason 'password forgotten' --key KEY -o case.json

            TARGET is the uuid of an instance, its directory or disk, or another image, which is \
            then bound by the digests of its layers. A scope is /path in the guest's own tree, or \
            DISK:VOLUME:/path; it covers what is beneath, too. * and ? stand for bytes within a \
            name, ** for any number of directories, \\xHH for a byte.

            Writes FILE and FILE.request.sig. With SSH_AUTH_SOCK set, KEY may be a public key whose \
            private half the agent has.
            """
    )

    @Option(help: ArgumentHelp("The ticket that it belongs to.", valueName: "id"))
    var ticket: String

    @Option(help: ArgumentHelp("What of the guest; may be repeated.", valueName: "glob"))
    var scope: [String]

    @Option(help: ArgumentHelp("Of list, read, extract, check: a,b,….", valueName: "actions"))
    var actions: String

    @Option(help: ArgumentHelp("Who is asked, as the list of approvers has it.", valueName: "name"))
    var approver: String

    @Option(
        help: ArgumentHelp(
            "Who asks; found by the key where the host lists requesters.",
            valueName: "name"
        )
    )
    var requester: String?

    @Option(help: ArgumentHelp("Begins at this time; now without it.", valueName: "time"))
    var notBefore: String?

    @Option(
        help: ArgumentHelp(
            "Ends after 30m, 8h, 3d, or at 2026-01-31T18:00:00Z.",
            valueName: "time"
        )
    )
    var expires: String

    @Option(help: ArgumentHelp("Why.", valueName: "text"))
    var reason: String

    @Option(help: ArgumentHelp("The requester's SSH key.", valueName: "file"))
    var key: String

    @Option(name: .shortAndLong, help: ArgumentHelp("Where to write it.", valueName: "file"))
    var output: String

    @Option(help: ArgumentHelp("Format of the image (raw or qcow2).", valueName: "format"))
    var format: String?

    @Option(
        name: .customLong("allow-backing"),
        help: ArgumentHelp("Also allow backing files in this directory.", valueName: "dir")
    )
    var allowBacking: [String] = []

    @Argument(help: "Uuid of an instance, instance directory or image file.")
    var target: String

    func run() throws {
        let begin = try notBefore.map { try Self.time($0, after: nil) } ?? .now
        let start = Timestamp(seconds: begin.seconds)
        let document = ApprovalDocument(
            id: Self.newID(),
            ticket: ticket,
            subject: try .init(
                of: target,
                attaching: AttachOptions(
                    format: ImageFormat.named(format),
                    allowedBackingDirectories: allowBacking
                )
            ),
            scope: try readScope(),
            actions: try readActions(),
            requester: try requester ?? ApprovalSigning.requester(with: key),
            approver: approver,
            notBefore: start,
            expires: try Self.time(expires, after: start),
            reason: reason
        )
        try ApprovalSigning.request(document, key: key, to: output)
        Message.say("glovebox: \(output) asks \(approver) until \(document.expires.inSeconds):")
        Message.say("glovebox: glovebox approve sign \(output) --key KEY")
    }

    private func readScope() throws(GloveboxError) -> Scope {
        var patterns: [ScopePattern] = []
        for text in scope {
            do throws(ScopePattern.Failure) { patterns.append(try ScopePattern(text)) } catch {
                throw GloveboxError(.usage, "The scope \(text) \(error.reason).")
            }
        }
        return Scope(patterns: patterns)
    }

    private func readActions() throws -> [Purpose] {
        try actions.split(separator: ",", omittingEmptySubsequences: false).map { name in
            guard let action = Purpose(rawValue: String(name)) else {
                throw GloveboxError(
                    .usage,
                    "There is no action \(name).",
                    advice: "There are list, read, extract and check."
                )
            }
            return action
        }
    }

    /// A time, or so long after `start`.
    static func time(_ text: String, after start: Timestamp?) throws -> Timestamp {
        if let time = Timestamp(iso8601: text) { return Timestamp(seconds: time.seconds) }
        let units: [Character: Int64] = ["m": 60, "h": 3600, "d": 86_400]
        if let start, let unit = text.last.flatMap({ units[$0] }),
            text.dropLast().utf8.allSatisfy({ 0x30...0x39 ~= $0 }),
            let count = Int64(text.dropLast()), 1...100_000 ~= count
        {
            return Timestamp(seconds: start.seconds + count * unit)
        }
        throw GloveboxError(
            .usage,
            "\(text) is not a time.",
            advice: start == nil
                ? "Write 2026-01-31T18:00:00Z." : "Write 30m, 8h, 3d or 2026-01-31T18:00:00Z."
        )
    }

    /// A random uuid (RFC 9562, 5.4).
    static func newID() -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        let groups = [0..<4, 4..<6, 6..<8, 8..<10, 10..<16]
        return groups.map { digits[$0].joined() }.joined(separator: "-")
    }
}
