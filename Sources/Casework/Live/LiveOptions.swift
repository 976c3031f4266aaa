/// How an instance that runs is held while it is read.
public enum PauseMode: String, Sendable, CaseIterable {
    /// It stays suspended for as long as it is read.
    case strict
    /// It is suspended for a moment, and read as it was then.
    case brief
}

/// How a domain is found and held.
package struct LiveOptions: Sendable {
    /// libvirt's URI; nil for its own default.
    package var connectURI: String?
    package var pauseMode = PauseMode.strict
    /// The longest time that it may be suspended.
    package var pauseSecondsMax: UInt32 = 120
    /// The longest time that it may be suspended where the engine is needed, which takes long; nil
    /// where that is not wanted.
    package var acceptPauseSeconds: UInt32?
    /// The directory of state; nil for the installation's.
    package var stateDirectory: String?
    /// Starts the custodian.
    package var starting: any CustodianStarting
    /// Hears what a user ought to know at once.
    package var warn: @Sendable (String) -> Void

    package init(
        starting: any CustodianStarting,
        warn: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.starting = starting
        self.warn = warn
    }

    /// The pause that is asked for.
    var secondsMax: UInt32 { acceptPauseSeconds ?? pauseSecondsMax }
}
