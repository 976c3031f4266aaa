/// Which record may follow which, and what is owed after each.
///
/// A journal in another order was not written by a custodian: nothing is done because of it.
/// What takes an obligation away (`resumed`, `withdrawn`) does not need its intent before it: the
/// intent may have been what a full disk refused, and nothing is done because of them.
struct SessionOrder: Hashable, Sendable {
    /// Whose the pause is.
    enum Pause: Hashable, Sendable {
        /// Not ours.
        case none
        /// We may have suspended it.
        case intended
        /// We have suspended it.
        case confirmed
        /// We have nothing to do with it any more.
        case over
    }

    /// What became of the backup job.
    enum Job: Hashable, Sendable { case none, intended, running, over }

    /// How far reading is.
    enum Reading: Hashable, Sendable { case none, connected, mounted }

    private let mode: HoldMode
    private(set) var pause = Pause.none
    private(set) var job = Job.none
    private(set) var reading = Reading.none
    private(set) var hasEnded = false
    private var isResuming = false
    /// From here on things are only taken back.
    private var isUnwinding = false
    private var isRecovering = false

    /// After the record that opens a session of that mode.
    init(_ mode: HoldMode) { self.mode = mode }

    /// Whether it may be that a resume is owed.
    var owesResume: Bool { !hasEnded && isPaused }
    /// Whether it may be that a job has to be ended.
    var owesJob: Bool { !hasEnded && hasJob }

    private var isPaused: Bool { pause == .intended || pause == .confirmed }
    private var hasJob: Bool { job == .intended || job == .running }

    /// Whether disks may be opened for reading.
    private var isHeld: Bool {
        switch mode {
        case .strict: pause == .confirmed && !isResuming
        case .brief: job == .running
        case .asFound: true
        }
    }

    /// Goes on with `record`; false, and nothing has changed, where it may not stand here.
    mutating func take(_ record: SessionRecord) -> Bool {
        guard isAllowed(record) else { return false }
        switch record {
        case .opened, .withdrawing: break
        case .suspending: pause = .intended
        case .suspended: pause = .confirmed
        case .exporting: job = .intended
        case .exported: job = .running
        case .connected: reading = .connected
        case .mounted: reading = .mounted
        case .unmounted: reading = .connected
        case .disconnected: reading = .none
        case .invalidated: isUnwinding = true
        case .withdrawn: job = .over
        case .resuming: isResuming = true
        case .resumed: pause = .over
        case .recovering: (isUnwinding, isRecovering) = (true, true)
        case .ended: hasEnded = true
        }
        return true
    }

    private func isAllowed(_ record: SessionRecord) -> Bool {
        guard !hasEnded else { return false }
        return switch record {
        case .opened: false
        case .suspending: !isUnwinding && mode != .asFound && pause == .none
        case .suspended: !isUnwinding && pause == .intended && !isResuming
        case .exporting:
            !isUnwinding && mode == .brief && pause == .confirmed && !isResuming && job == .none
        case .exported: !isUnwinding && job == .intended && !isResuming
        case .connected: !isUnwinding && isHeld
        case .mounted: !isUnwinding && reading != .none
        case .unmounted: reading == .mounted
        case .disconnected: reading != .none
        case .invalidated, .recovering: true
        case .withdrawing, .withdrawn: hasJob
        case .resuming: isPaused
        case .resumed(.inferred): pause == .intended
        case .resumed: isPaused
        // What the host's restart has ended needs no ending of ours.
        case .ended(.rebooted): isRecovering
        case .ended: !isPaused && !hasJob
        }
    }
}
