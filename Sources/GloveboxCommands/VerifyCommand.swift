internal import ArgumentParser
internal import Casework
internal import Linux

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Verify an evidence bag: that it is whole, unchanged, approved and signed.",
        discussion: """
            Examples:
              glovebox verify case-17.tar
              glovebox verify case-17.bag --operators operators --approvers approvers --requesters requesters
              glovebox verify --json case-17.tar

            BAG is what `glovebox extract --to` made. Looked at are, in this order: its form, \
            every digest, files.jsonl against files.tar entry by entry, the chain of custody, the \
            approval's signatures at the time when it was used, its scope, the operator's \
            signature. The first thing that is wrong is named with its place.

            Whose keys count is what this host's policy says, or the lists that are given. Without \
            either, signatures are checked but nobody vouches for their keys: exit code 1.

            Exit codes: 0 verified · 1 something is wrong · 2 usage · 5 not readable, not a bag, or \
            incomplete.
            """
    )

    @Option(help: ArgumentHelp("Take the lists of signers from this policy.", valueName: "file"))
    var policy: String?

    @Option(help: ArgumentHelp("Who may approve: allowed signers.", valueName: "file"))
    var approvers: String?

    @Option(help: ArgumentHelp("Who may ask: allowed signers.", valueName: "file"))
    var requesters: String?

    @Option(help: ArgumentHelp("Who may sign bags: allowed signers.", valueName: "file"))
    var operators: String?

    @Option(help: ArgumentHelp("Keys that are revoked, one a line, or a KRL.", valueName: "file"))
    var revoked: String?

    @Flag(help: "Accept a bag that nobody signed, where it has no approval.")
    var allowUnsigned = false

    @Flag(help: "Print JSON (docs/json.md).")
    var json = false

    @Flag(name: .shortAndLong, help: "Show no progress.")
    var quiet = false

    @Argument(help: "The bag: a directory or a .tar.")
    var bag: String

    func validate() throws {
        guard
            policy == nil || [approvers, requesters, operators, revoked].allSatisfy({ $0 == nil })
        else {
            throw ValidationError("Give either --policy or lists of signers.")
        }
    }

    func run() throws {
        // Nothing is held that would need cleaning up.
        Interruption.onFirst { Program.exit(GloveboxError.Kind.interrupted.rawValue) }
        let trust = try VerifyTrust.read(
            policy: policy,
            requesters: requesters,
            approvers: approvers,
            operators: operators,
            revoked: revoked
        )
        let verification = BagVerification(bag, trust: trust, allowsUnsigned: allowUnsigned)
        let progress = ProgressLine(shown: !quiet && !json) { nil }
        defer { progress.end() }
        let verdict = try verification.run { progress.show($0) }
        progress.end()
        var output = StandardOutput()
        if json {
            try output.write(VerifyReport.json(bag, verdict))
        } else {
            try output.write(Message.harmless(VerifyReport.text(bag, verdict)))
        }
        try output.flush()
        if !verdict.isVerified { throw ExitCode(1) }
    }
}

/// Where `verify` takes its lists of signers from.
enum VerifyTrust {
    /// The lists that were given, or those of the policy; none where there is no policy.
    static func read(
        policy: String?,
        requesters: String?,
        approvers: String?,
        operators: String?,
        revoked: String?
    ) throws -> BagTrust {
        if [requesters, approvers, operators, revoked].contains(where: { $0 != nil }) {
            return BagTrust(
                requesters: try requesters.map(list),
                approvers: try approvers.map(list),
                operators: try operators.map(list),
                revoked: try revoked.map { try content($0) },
                origin: "lists that were given"
            )
        }
        let path = try policy ?? Installation.current().policyPath
        // What is chosen for verifying only opens nothing, so it may be anybody's.
        let owner: UInt32? = policy == nil ? 0 : nil
        do throws(PolicyError) {
            if let found = try Policy.read(at: path, owner: owner) {
                return BagTrust(try found.lists(), origin: path)
            }
        } catch {
            throw GloveboxError(
                policy == nil ? .refused : .usage,
                "\(error)",
                advice: "Give lists of signers with --approvers, --requesters, --operators."
            )
        }
        guard policy == nil else { throw GloveboxError(.usage, "\(path) is missing.") }
        return BagTrust(origin: "no policy")
    }

    private static func list(_ path: String) throws -> SignerList {
        let text = try content(path)
        do throws(SignerList.Failure) { return try SignerList(text) } catch {
            throw GloveboxError(.usage, "\(path) is not a list of signers: \(error).")
        }
    }

    private static func content(_ path: String) throws -> [UInt8] {
        do throws(SystemError) {
            return try fileContent(path, limit: SignerList.byteCountMax)
        } catch {
            throw GloveboxError(.usage, "\(error)")
        }
    }
}
