internal import ArgumentParser
internal import Casework
internal import Linux

struct ApproveSignCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sign",
        abstract: "Show a request, and sign it as the approver.",
        discussion: """
            Examples:
              glovebox approve sign case.json --key ~/.ssh/id_ed25519
              SSH_AUTH_SOCK=… glovebox approve sign case.json --key approver.pub

            Shows what is asked for on standard error, and signs once `yes` is typed on the \
            terminal, or at once with --yes. Writes FILE.approval.sig; give it back with FILE and \
            FILE.request.sig. A request is not signed with the key that made it.
            """
    )

    @Option(help: ArgumentHelp("The approver's SSH key.", valueName: "file"))
    var key: String

    @Flag(help: "Sign without asking, for scripts.")
    var yes = false

    @Argument(help: "The request.")
    var file: String

    func run() throws {
        let request = try SignedRequest(file)
        let report = ApprovalReport(request)
        Message.say(report.text.trimmed)
        if !yes { try ask() }
        let signature = try ApprovalSigning.approve(request, key: key)
        Message.say(
            "glovebox: signed with \(signature.key.fingerprint): \(ApprovalFiles.approvalPath(file))"
        )
    }

    private func ask() throws {
        let answer = ControllingTerminal.ask("Approve this? Type yes: ")
        guard answer == Array("yes".utf8) else {
            throw GloveboxError(
                .refused,
                "Nothing was signed.",
                advice: "Type yes on a terminal to sign, or give --yes."
            )
        }
    }
}

extension String {
    /// Without its last line break.
    fileprivate var trimmed: String { hasSuffix("\n") ? String(dropLast()) : self }
}
