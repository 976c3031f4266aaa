/// How a domain is, seen by who has held it in one run.
package enum DomainSighting: Hashable, Sendable {
    case running
    /// Paused on request, as a suspend leaves it; libvirt does not say by whom.
    case paused
    /// It is in that run, in a state that we neither made nor undo; the rest of a sentence about it.
    case otherwise(String)
    /// It is in another run, or in none.
    case gone

    /// Sees `status`, where a backup job that we may have started is no obstacle, and none is what may
    /// be left of one: it can be suspended and resumed all the same.
    package init(_ status: DomainStatus, of run: DomainRun) {
        guard status.id == run.id, status.state != .shutOff else {
            self = .gone
            return
        }
        switch status.job {
        case .none, .backup, .unknown: break
        case .migration, .save, .dump, .snapshot, .other:
            self = .otherwise("is under a libvirt job (\(status.job.rawValue))")
            return
        }
        switch (status.state, status.pauseReason) {
        case (.running, _), (.blocked, _): self = .running
        case (.paused, .user): self = .paused
        case (.paused, let reason):
            self = .otherwise("is paused for another reason (\((reason ?? .unknown).rawValue))")
        case (.none, _), (.shuttingDown, _), (.shutOff, _), (.crashed, _), (.sleeping, _):
            self = .otherwise("is \(status.state.rawValue)")
        }
    }
}
