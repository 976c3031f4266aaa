package import EngineProtocol
internal import Linux

/// Starts what the engine needs outside this process.
///
/// The disks are served by one qemu-nbd each, from the descriptors that were checked, and a worker
/// (`glovebox-engine worker`) waits at the other end of the channel.
package protocol EngineLauncher: Sendable {
    /// Starts exports of `disks`, in their order, and a worker.
    func start(_ disks: [AttachedDisk]) throws(GloveboxError) -> EngineProcesses
}

/// What a launcher has started; it ends with this value.
package struct EngineProcesses: Sendable {
    /// The channel to the worker.
    package let channel: Channel
    /// The socket of each disk's export.
    package let sockets: [String]
    /// The private directory that the worker and the appliance may fill.
    package let directory: String
    /// What a user ought to know, a sentence each.
    package let warnings: [String]
    /// What has to be kept so that all of it lives.
    package let owner: any Sendable

    package init(
        channel: Channel,
        sockets: [String],
        directory: String,
        warnings: [String] = [],
        owner: any Sendable
    ) {
        self.channel = channel
        self.sockets = sockets
        self.directory = directory
        self.warnings = warnings
        self.owner = owner
    }
}
