internal import Linux

/// Where a custodian is stopped by tests that kill it: before and after each record.
package protocol CustodyProbe: Sendable {
    func reached(_ point: CustodyPoint)
}

/// A moment in a session, such as `before:suspending`.
package struct CustodyPoint: Hashable, Sendable, CustomStringConvertible {
    package enum Side: String, Sendable { case before, after }

    package let side: Side
    /// The record's event.
    package let event: String

    package var description: String { "\(side.rawValue):\(event)" }
}

/// All that a custodian depends on besides its channel.
package struct CustodySurroundings: Sendable {
    /// Makes connections to the libvirt of that URI; nil for the default.
    package var makeHost: @Sendable (String?) throws(DomainControlError) -> any DomainHost
    package var probe: (any CustodyProbe)?
    package var times = CustodyTimes()
    /// Whoever is at the other end of the channel, and the path of its program.
    package var front: ProcessIdentity
    /// The programs whose processes may be ended, by the paths of their files.
    package var programs: [String]
    /// The free bytes of the file system that a directory lies on; nil where that is not known.
    package var freeBytes: @Sendable (String) -> UInt64? = { try? Linux.freeBytes(at: $0) }
    /// What journals a session; its own journal, where no test is to see it fail.
    package var journal: @Sendable (Session) -> any SessionWriting = { $0 }

    package init(
        front: ProcessIdentity,
        programs: [String],
        probe: (any CustodyProbe)? = nil,
        makeHost: @escaping @Sendable (String?) throws(DomainControlError) -> any DomainHost
    ) {
        self.front = front
        self.programs = programs
        self.probe = probe
        self.makeHost = makeHost
    }
}

/// How long a custodian waits, in seconds; tests are in more of a hurry.
package struct CustodyTimes: Sendable {
    /// For our suspend, or resume, to be seen.
    package var confirmation = 5.0
    /// Between two looks while it waits for that.
    package var glance = 0.02
    /// For the front to stop reading.
    package var stop = 2.0
    /// Between two attempts to connect, or to do what failed.
    package var retry = 0.2
    /// Until the front is told that something is still held.
    package var overdue = 10.0
    /// Between two looks at what is held.
    package var look = 1.0
    /// Without any event before a suspend.
    package var quiet = 0.1
    /// From seeing a domain run to suspending it, at most.
    package var freshness = 1.0
    /// Without libvirt waiting for QEMU, until no suspend is under way any more.
    package var settled = 0.3
    /// For that to come about.
    package var settling = 30.0
    /// For the rest of a message that has begun.
    package var message = 2.0

    package init() {}
}
