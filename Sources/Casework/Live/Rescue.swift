package import Custody

/// Has sessions taken over that were left behind, each by a custodian of its own: an instance whose
/// QEMU does not answer, as on storage that hangs, keeps no other one waiting for long.
package struct Rescue {
    private let stateDirectory: String
    private let connect: String?
    private let starting: any CustodianStarting
    private let patience: CustodianClient.Patience

    /// `connect` is libvirt's URI; nil for its own default, not for what stands in a journal.
    package init(
        stateDirectory: String,
        connect: String?,
        starting: any CustodianStarting,
        patience: CustodianClient.Patience = CustodianClient.Patience()
    ) {
        self.stateDirectory = stateDirectory
        self.connect = connect
        self.starting = starting
        self.patience = patience
    }

    /// What became of each; what cannot be taken over, for whatever reason, is still held.
    package func recover(_ entries: [SessionEntry]) -> [RecoveredSession] {
        /// Why libvirt is not reached: it is not waited for once for each session.
        var unreachable: String?
        return entries.flatMap { entry in
            guard case .history(let history) = entry.content else { return [Self.refused(entry)] }
            let client: CustodianClient
            do throws(GloveboxError) {
                if let why = unreachable { return [held(entry, history, why)] }
                client = try CustodianClient(uri: connect, starting: starting, patience: patience)
            } catch {
                unreachable = error.message
                return [held(entry, history, error.message)]
            }
            defer { client.end() }
            do throws(GloveboxError) {
                return try client.recover(stateDirectory: stateDirectory, session: entry.name)
            } catch {
                return [held(entry, history, error.message)]
            }
        }
    }

    private static func refused(_ entry: SessionEntry) -> RecoveredSession {
        var why = ""
        if case .refused(let reason) = entry.content { why = reason }
        return RecoveredSession(
            session: entry.name,
            uuid: "",
            domain: "",
            outcome: .refused,
            detail: "Its journal cannot be relied on, and nothing was done: \(why)."
        )
    }

    private func held(
        _ entry: SessionEntry,
        _ history: SessionHistory,
        _ why: String
    ) -> RecoveredSession {
        RecoveredSession(
            session: entry.name,
            uuid: history.opening.run.uuid,
            domain: history.opening.domain,
            outcome: .held,
            detail: "It may still be held. \(why)"
        )
    }
}
