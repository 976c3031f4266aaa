package import EngineProtocol
package import Linux

/// Starts custodians; a seam, so that what one may do wrong is tested without any.
package protocol CustodianStarting: Sendable {
    /// Starts one that waits for orders.
    func start() throws(GloveboxError) -> CustodianProcess
    /// Whether this user may have instances held: the journal is root's.
    var mayHold: Bool { get }
}

extension CustodianStarting {
    package var mayHold: Bool { OwnProcess.effectiveUserID == 0 }
}

/// A custodian that was started.
package struct CustodianProcess: Sendable {
    /// The conversation with it.
    package let channel: Channel
    /// Its process; nil where it is part of this one, in tests.
    package let child: ChildProcess?

    package init(channel: Channel, child: ChildProcess?) {
        self.channel = channel
        self.child = child
    }
}

/// Starts `glovebox-engine custodian`.
package struct CustodianProgram: CustodianStarting {
    private let path: String?

    /// What of the user's environment it gets: which libvirt is the usual one.
    private static let passedOn = ["LIBVIRT_DEFAULT_URI"]

    /// `path` is that of `glovebox-engine`, where it is not the one that belongs to this program.
    package init(path: String?) { self.path = path }

    package func start() throws(GloveboxError) -> CustodianProcess {
        let program = try EngineProgram.find(path)
        do throws(SystemError) {
            let (ours, theirs) = try Channel.pair(named: "the custodian's channel")
            var plan = ChildProcess.Plan(
                program: program,
                arguments: ["custodian"],
                environment: EngineEnvironment.fixed + OwnProcess.variables(Self.passedOn)
            )
            plan.descriptors[EngineDescriptor.control] = theirs.descriptor
            // What ends this program by its terminal must not reach it: it has a resume to see to.
            plan.newSession = true
            return CustodianProcess(channel: ours, child: try ChildProcess(plan))
        } catch {
            throw GloveboxError(
                .unreadable,
                "The custodian, which holds instances, could not be started: \(error)."
            )
        }
    }
}
