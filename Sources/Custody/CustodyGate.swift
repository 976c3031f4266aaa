/// Decides whether a domain may be held, and how; looks at nothing but what it is given.
package enum CustodyGate {
    /// What is to be done with a domain.
    package enum Decision: Equatable, Sendable {
        /// Hold it like this: as it was wanted, or as found where somebody else has paused it.
        case hold(HoldMode)
        /// It does not run: read its disks under QEMU's own locks, without holding it.
        case offline
        case refuse(CustodyFailure)
    }

    /// Decides on the domain of `uuid`, which is as `status` says.
    ///
    /// `run` is the run that was looked at before; nil where nobody has looked yet.
    package static func decide(
        _ status: DomainStatus,
        of uuid: String,
        expecting run: DomainRun?,
        mode: HoldMode
    ) -> Decision {
        if let run, run.uuid != uuid {
            return refuse("It is another instance than the one that was looked at.", again)
        }
        if let job = obstacle(status.job) { return .refuse(job) }
        guard status.state != .shutOff else { return offline(status) }
        guard let id = status.id else {
            return refuse("libvirt gives no number to its run, in state \(status.state).", again)
        }
        if let run, run.id != id {
            return refuse("It was restarted since it was looked at.", again)
        }
        switch status.state {
        case .running, .blocked: return running(mode)
        case .paused: return paused(status.pauseReason ?? .unknown)
        case .none: return refuse("libvirt does not know its state.", inspect)
        case .shuttingDown:
            return refuse(
                "It is shutting down.",
                "Wait until it is shut off, and run the command again."
            )
        case .shutOff: return offline(status)
        case .crashed:
            return refuse(
                "It has crashed, and libvirt keeps what is left of it.",
                "Stop it (openstack server stop), and run the command again."
            )
        case .sleeping:
            return refuse(
                "It was put to sleep by its own power management.",
                "Wake it (virsh dompmwakeup) or stop it, and run the command again."
            )
        }
    }

    private static func running(_ mode: HoldMode) -> Decision {
        guard mode == .asFound else { return .hold(mode) }
        return refuse(
            "It runs, and is not to be suspended.",
            "Allow a pause, or have somebody pause it (openstack server pause)."
        )
    }

    private static func offline(_ status: DomainStatus) -> Decision {
        guard status.hasManagedSave else { return .offline }
        return refuse(
            "Its memory was saved to disk; it goes on from there when it is started.",
            "Resume it (openstack server resume, or virsh start), and run the command again."
        )
    }

    private static func obstacle(_ job: DomainJob) -> CustodyFailure? {
        let sentence: String? =
            switch job {
            case .none: nil
            case .backup: "A backup of it is under way."
            case .migration: "It is being migrated."
            case .save: "Its memory is being saved."
            case .dump: "A dump of its memory is being written."
            case .snapshot: "A snapshot of it is being taken."
            case .other: "libvirt is at work on it."
            case .unknown: "libvirt has lost track of what it does with it."
            }
        return sentence.map {
            CustodyFailure(
                code: 6,
                $0,
                advice: job == .unknown
                    ? "Stop it, restart libvirtd, start it, and run the command again."
                    : "Wait until virsh domjobinfo shows no job, and run the command again."
            )
        }
    }

    private static func paused(_ reason: PauseReason) -> Decision {
        switch reason {
        case .user: .hold(.asFound)
        case .unknown: refuse("It is paused, and libvirt does not know why.", inspect)
        case .migration: refuse("It is paused for a migration.", wait)
        case .save: refuse("It is paused while its memory is saved.", wait)
        case .dump: refuse("It is paused while its memory is dumped.", wait)
        case .ioError:
            refuse(
                "It is paused because one of its disks could not be written or read.",
                "Free the space or repair the storage and resume it, or stop it."
            )
        case .watchdog: refuse("Its watchdog has paused it.", decideFirst)
        case .fromSnapshot: refuse("It was started paused from a snapshot.", decideFirst)
        case .shuttingDown: refuse("It is paused while it shuts down.", wait)
        case .snapshot: refuse("It is paused while a snapshot is taken.", wait)
        case .crashed: refuse("It is paused because its guest has crashed.", decideFirst)
        case .startingUp: refuse("It is paused while it starts.", wait)
        case .postCopy: refuse("It is paused for a migration in post-copy mode.", wait)
        case .postCopyFailed:
            refuse(
                "It is paused because a migration in post-copy mode has failed.",
                "Recover the migration first; its memory is in two places."
            )
        case .other: refuse("It is paused for a reason that is not known here.", inspect)
        }
    }

    private static let again = "Run the command again."
    private static let wait = "Wait until that is over, and run the command again."
    private static let inspect = "Look at it with virsh domstate --reason."
    private static let decideFirst = "Resume it or stop it first, as is right for it."

    private static func refuse(_ sentence: String, _ advice: String) -> Decision {
        .refuse(CustodyFailure(code: 6, sentence, advice: advice))
    }
}
