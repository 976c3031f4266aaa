internal import Custody

/// Starts the engine for an instance that is held, where that is acceptable.
///
/// The appliance takes from seconds to a minute, for which the instance would stay suspended: nobody
/// gets that without having asked for it.
package struct HeldLauncher: EngineLauncher {
    private let base: any EngineLauncher
    private let acceptsPause: Bool

    /// `acceptsPause` says whether the user has allowed a pause that long.
    package init(_ base: any EngineLauncher, acceptsPause: Bool) {
        self.base = base
        self.acceptsPause = acceptsPause
    }

    package func start(_ disks: [AttachedDisk]) throws(GloveboxError) -> EngineProcesses {
        switch disks.lazy.compactMap(\.hold).first?.mode {
        case .strict? where !acceptsPause:
            throw GloveboxError(
                .wrongState,
                "What is to be read needs the appliance, and the instance would stay suspended for as "
                    + "long as that takes to start and read.",
                advice: "Give --accept-pause SECONDS to have it so, or shut the instance off."
            )
        case .brief?:
            throw GloveboxError(
                .wrongState,
                "What is to be read needs the appliance, which does not read points in time.",
                advice: "Give --pause strict and --accept-pause SECONDS, or shut the instance off."
            )
        case .strict?, .asFound?, nil: return try base.start(disks)
        }
    }
}
