/// What a check says of a volume.
public enum Verdict: String, Sendable, CaseIterable {
    /// Its checker found nothing, on the volume as it stands.
    case clean
    /// It was not shut down cleanly; after its journal was replayed the checker found nothing.
    case cleanAfterReplay = "clean-after-replay"
    /// Its checker found damage that no replay explains.
    case damaged
    /// It uses features that this checker does not know.
    case tooNew = "too-new"
    /// Nothing can be said of its soundness; the report's reason says why.
    case notCheckable = "not-checkable"
}

/// One program that ran for a check, and what it said.
public struct CheckStep: Sendable, Equatable {
    /// The command, as a person would type it, such as `e2fsck -fn`.
    public var command: String
    /// How it ended.
    public var ending: Ending
    /// What it said, beginning and end, in the order in which it came.
    ///
    /// It quotes the disk: show it only with control characters escaped.
    public var text: String
    /// Whether its text was longer than what is kept.
    public var isTruncated: Bool

    /// How a program ended.
    public enum Ending: Sendable, Equatable {
        /// By itself, with this code.
        case exited(Int)
        /// By us, since its time was over.
        case timedOut
    }

    /// Creates a step.
    public init(command: String, ending: Ending, text: String, isTruncated: Bool = false) {
        self.command = command
        self.ending = ending
        self.text = text
        self.isTruncated = isTruncated
    }

    /// The exit code, or nil where its time was over.
    public var code: Int? {
        guard case .exited(let code) = ending else { return nil }
        return code
    }
}

/// What the repair would do, tried on a layer that was thrown away afterwards.
public struct Rehearsal: Sendable, Equatable {
    /// How it ended.
    public enum Outcome: String, Sendable, CaseIterable {
        /// Repaired and clean when checked again; the repair names nothing that it lost or moved.
        case fixed
        /// Repaired and clean when checked again; files were lost, shortened or moved.
        case fixedWithLosses = "fixed-with-losses"
        /// Still not clean after the repair, or the repair gave up.
        case notRepairable = "not-repairable"
        /// There is no repair to try.
        case noRepair = "no-repair"
    }

    /// How it ended.
    public var outcome: Outcome
    /// A sentence where the outcome needs one; empty otherwise.
    public var reason: String
    /// How many files the repair put into lost+found.
    public var movedCount: Int
    /// Names of the first of them.
    public var moved: [String]
    /// How many times the repair said that it removed or shortened something.
    public var lostCount: Int
    /// The first of these lines, as the repair said them.
    public var lost: [String]
    /// What ran: the repair, then the check.
    public var steps: [CheckStep]

    /// More names than these are counted only.
    public static let namesMax = 100

    /// Creates a rehearsal's result.
    public init(
        outcome: Outcome,
        reason: String = "",
        movedCount: Int = 0,
        moved: [String] = [],
        lostCount: Int = 0,
        lost: [String] = [],
        steps: [CheckStep] = []
    ) {
        self.outcome = outcome
        self.reason = reason
        self.movedCount = movedCount
        self.moved = Array(moved.prefix(Self.namesMax))
        self.lostCount = lostCount
        self.lost = Array(lost.prefix(Self.namesMax))
        self.steps = steps
    }
}

/// The answer for one volume.
public struct CheckReport: Sendable, Equatable {
    /// The volume, as in guest paths: `disk:p1`.
    public var volume: String
    /// What it holds, in blkid's words; empty where nothing was recognised.
    public var type: String
    /// The verdict.
    public var verdict: Verdict
    /// Whether the file system says that it was not shut down cleanly.
    public var wasDirty: Bool
    /// One sentence that gives the reason; empty for a plain clean.
    public var reason: String
    /// Whether there is something here that a check could have judged.
    ///
    /// False for swap space, nothing at all, and formats that are written once and have no checker;
    /// these do not make a whole instance "not checked".
    public var isCheckable: Bool
    /// The volumes whose reports tell of what is in it; empty where its own report does.
    ///
    /// These are the volumes that lie in this one, or for a part of a file system over several
    /// devices the part as which the whole was checked.
    public var checkedAs: [String]
    /// How many devices the file system spans.
    public var deviceCount: Int
    /// What ran.
    public var steps: [CheckStep]
    /// What the repair would do, where that was asked for and the volume is damaged.
    public var rehearsal: Rehearsal?

    /// Creates a report.
    public init(
        volume: String,
        type: String,
        verdict: Verdict,
        wasDirty: Bool = false,
        reason: String = "",
        isCheckable: Bool = true,
        checkedAs: [String] = [],
        deviceCount: Int = 1,
        steps: [CheckStep] = [],
        rehearsal: Rehearsal? = nil
    ) {
        self.volume = volume
        self.type = type
        self.verdict = verdict
        self.wasDirty = wasDirty
        self.reason = reason
        self.isCheckable = isCheckable
        self.checkedAs = checkedAs
        self.deviceCount = deviceCount
        self.steps = steps
        self.rehearsal = rehearsal
    }
}
