package import Custody
package import DiskFormats
internal import Linux
internal import Synchronization

/// A domain that is held, for as long as the value lives or until ``release()``.
///
/// What its disks give comes through sources that ask before and after each read whether it is still
/// held. Where it ends early, reads fail, and none that was under way is believed.
package final class Hold: Sendable {
    /// The session's name in the journal.
    package let session: String
    /// The domain as it was after the suspend.
    package let facts: DomainFacts
    /// The run that is held.
    package let run: DomainRun
    package let mode: HoldMode
    /// When it ends by itself, in monotonic nanoseconds.
    package let deadline: UInt64
    /// In brief mode: where the disks are to be read.
    package let exports: [Held.Export]
    /// What a user ought to know, a sentence each.
    package let warnings: [String]
    /// When it began, by the host's clock.
    package let began: Timestamp
    private let link: CustodianLink
    /// Its end would be the hold's.
    private let client: CustodianClient
    private let patience: CustodianClient.Patience
    private let progress = Mutex(Progress.none)
    private let readersTold = Mutex<[Int32]>([])
    private let report = Mutex<HoldReport?>(nil)

    /// How far the custodian was told that reading is.
    private enum Progress: Sendable { case none, connected, mounted }

    init(
        _ held: Held,
        _ order: HoldOrder,
        _ link: CustodianLink,
        of client: CustodianClient,
        _ patience: CustodianClient.Patience
    ) {
        session = HoldText.plain(held.session)
        facts = held.facts
        run = order.run
        mode = held.mode
        deadline = held.deadline
        exports = held.exports
        warnings = held.warnings.map(HoldText.sentence)
        began = .now
        self.link = link
        self.client = client
        self.patience = patience
    }

    deinit { link.end() }

    /// How what is read under it belongs together.
    package var consistency: Consistency {
        switch mode {
        case .strict: .suspended
        case .brief: .pointInTime
        case .asFound: .asFoundPaused
        }
    }

    /// Whether the domain is still ours, as far as it is known here.
    package var isHeld: Bool { link.gate.isHeld }

    /// Throws where the domain is not held any more.
    package func check() throws(GloveboxError) {
        guard !isHeld else { return }
        throw GloveboxError(
            .wrongState,
            "The instance is not held any more. \(link.gate.ending?.sentence ?? "")",
            advice: "Run the command again."
        )
    }

    /// The source of a disk of the domain, which gives nothing that was not read while it was held.
    package func guarded(_ source: any BlockSource, name: String) -> any BlockSource {
        HeldSource(source, link.gate, name: name)
    }

    /// Tells that disks are open, and which processes read them besides this one and those that were
    /// told before.
    ///
    /// Nothing is open for them yet when this returns, and their end is in the custodian's hands.
    package func connected(readers: [Int32] = []) throws(GloveboxError) {
        let (reached, all) = progress.withLock { progress in
            readersTold.withLock { $0 += readers }
            defer { progress = .connected }
            return (progress, readersTold.withLock { $0 })
        }
        // Who reads is told with the connection, so that is told anew.
        if reached == .mounted { try step(.unmounted, []) }
        if reached != .none { try step(.disconnected, []) }
        try step(.connected, all)
        if reached == .mounted { try mounted() }
    }

    /// Tells that file systems are read, unless it was told already.
    package func mounted() throws(GloveboxError) {
        let isNew = progress.withLock { progress in
            guard progress == .connected else { return false }
            progress = .mounted
            return true
        }
        if isNew { try step(.mounted, []) }
    }

    private func step(_ step: HoldStep, _ readers: [Int32]) throws(GloveboxError) {
        try check()
        try tell(step, readers)
    }

    private func tell(_ step: HoldStep, _ readers: [Int32]) throws(GloveboxError) {
        switch link.ask(.step(step, readers: readers), seconds: patience.step) {
        case .answer(.noted): return
        case .answer(.failed(let failure)): throw GloveboxError(failure)
        case .answer(.released), .invalidated, .gone: break
        case .answer, .timedOut:
            // It is not known whether it still sees to the hold: what follows is not read.
            link.end()
        }
        throw GloveboxError(
            .wrongState,
            "The instance is not held any more. \(link.gate.ending?.sentence ?? "")",
            advice: "Run the command again."
        )
    }

    /// Lets go of the domain, and says what has become of it; the same ever after.
    ///
    /// Nothing may be read any more: what is under way is waited for.
    @discardableResult
    package func release() -> HoldReport {
        report.withLock { known in
            if let known { return known }
            let fresh = letGo()
            known = fresh
            return fresh
        }
    }

    private func letGo() -> HoldReport {
        link.gate.finish()
        let reached = progress.withLock { $0 }
        if link.gate.ending == nil {
            // A step that is not noted shows in what the release says.
            if reached == .mounted { try? tell(.unmounted, []) }
            if reached != .none { try? tell(.disconnected, []) }
        }
        let remains = link.release(
            seconds: patience.release,
            recoverSeconds: patience.connect + patience.recover
        )
        let report = HoldReport(self, remains, link.gate.ending?.sentence)
        link.end()
        return report
    }
}
