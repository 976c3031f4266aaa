package import Custody
package import DiskFormats
package import JSON

/// The hold under which the files of a bag are read.
package struct BagHold: Sendable {
    let session: String
    let mode: HoldMode
    let run: DomainRun
    let began: Timestamp
    /// Lets go, once nothing is read any more, and says what became of it.
    let release: @Sendable () -> HoldReport

    package init(
        session: String,
        mode: HoldMode,
        run: DomainRun,
        began: Timestamp,
        release: @escaping @Sendable () -> HoldReport
    ) {
        self.session = session
        self.mode = mode
        self.run = run
        self.began = began
        self.release = release
    }

    /// The hold of an instance that is being read.
    package init(_ hold: Hold) {
        self.init(
            session: hold.session,
            mode: hold.mode,
            run: hold.run,
            began: hold.began,
            release: { hold.release() }
        )
    }

    func write(to json: inout JSONText) {
        json.member("session", session)
        json.member("mode", mode.rawValue)
        json.member("domain_id", Int(run.id))
        json.member("uuid", run.uuid)
    }
}

extension HoldReport {
    /// The members of the event `released`, and of what `--json` says of a hold.
    package func write(to json: inout JSONText) {
        json.member("ending", ending)
        json.member("resumption", resumption)
        if let pausedMilliseconds { json.member("paused_ms", pausedMilliseconds) }
        json.member("intact", isIntact)
    }

    /// How long the instance was paused by us; nil where that is not known.
    package var pausedMilliseconds: UInt64? { pausedNanoseconds.map { $0 / 1_000_000 } }
}
