internal import ArgumentParser
internal import Casework
internal import Glovebox
internal import JSON

struct ApproveCheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Say whether an approval counts on this host now, and for a target.",
        discussion: """
            Examples:
              glovebox approve check case.json
              glovebox approve check case.json /var/lib/nova/instances/UUID && echo may be read

            Decides exactly as the commands that read, for each action of the approval. Exit codes: \
            0 it counts · 3 refused, with the sentence that says why.
            """
    )

    @Flag(help: "Print JSON; docs/approval.md describes it.")
    var json = false

    @Option(help: ArgumentHelp("Format of the image (raw or qcow2).", valueName: "format"))
    var format: String?

    @Option(
        name: .customLong("allow-backing"),
        help: ArgumentHelp("Also allow backing files in this directory.", valueName: "dir")
    )
    var allowBacking: [String] = []

    @Argument(help: "The approval.")
    var file: String

    @Argument(help: "Image file or instance directory.")
    var target: String?

    func run() throws {
        do throws(GloveboxError) {
            let approval = try check()
            try show(approval)
        } catch {
            if json, error.kind == .refused { try show(error) }
            throw error
        }
    }

    private func check() throws(GloveboxError) -> Approval {
        let approval = try ApprovalGate.verify(file)
        guard let target else { return approval }
        var options = Instance.Options(
            format: try ImageFormat.named(format),
            allowedBackingDirectories: allowBacking
        )
        options.approval = file
        // The actions differ in name only; an image's digests need not be taken for each.
        let purpose = approval.actions.first ?? .list
        return try Instance(at: target, for: purpose, options: options).approval ?? approval
    }

    private func show(_ approval: Approval) throws(GloveboxError) {
        let actions = approval.actions.map(\.rawValue)
        var document = JSONText()
        document.object { document in
            document.member("schema", "glovebox.approve-check/1")
            document.member("allowed", true)
            document.member("id", approval.id)
            document.member("ticket", approval.ticket)
            document.member("requester", approval.requester)
            document.member("approver", approval.approver)
            document.key("actions")
            document.array { document in for action in actions { document.string(action) } }
            document.member("expires", approval.expires.inSeconds)
        }
        document.endLine()
        let text =
            "Approval \(approval.id) (\(approval.ticket)) counts until "
            + "\(approval.expires.inSeconds): \(approval.requester) asked, "
            + "\(approval.approver) allowed \(actions.joined(separator: ", ")).\n"
        try write(json ? document.bytes : Message.harmless(text))
    }

    private func show(_ error: GloveboxError) throws(GloveboxError) {
        var document = JSONText()
        document.object { document in
            document.member("schema", "glovebox.approve-check/1")
            document.member("allowed", false)
            document.member("reason", Message.readable(error.description))
        }
        document.endLine()
        try write(document.bytes)
    }

    private func write(_ bytes: [UInt8]) throws(GloveboxError) {
        var output = StandardOutput()
        do {
            try output.write(bytes)
            try output.flush()
        } catch {
            throw GloveboxError(.unreadable, "\(error)")
        }
    }
}
