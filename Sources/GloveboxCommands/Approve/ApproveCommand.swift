internal import ArgumentParser

struct ApproveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve",
        abstract: "Ask for, give and examine approvals to read an instance.",
        discussion: """
            Examples:
              glovebox approve request UUID --ticket INC-1234 --scope /home/alice \
            --actions list,extract --approver b@example.com --expires 8h --reason 'lost files' \
            --key ~/.ssh/id_ed25519 -o case.json
              glovebox approve sign case.json --key ~/.ssh/id_ed25519
              glovebox extract --approval case.json /var/lib/nova/instances/UUID /home/alice \
            --to-dir out

            An approval is a document with two signatures beside it, by two persons whom the \
            host's policy lists. docs/approval.md describes policy and document.
            """,
        subcommands: [
            ApproveRequestCommand.self, ApproveSignCommand.self, ApproveShowCommand.self,
            ApproveCheckCommand.self,
        ]
    )
}
