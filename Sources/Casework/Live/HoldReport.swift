internal import Custody

/// What a hold was, once it is over: whether all that was read is of one moment, and whether the
/// instance goes on.
public struct HoldReport: Sendable {
    /// The name of the session in the journal.
    public let session: String
    /// How what was read belongs together.
    public let consistency: Consistency
    /// Whether the instance was as it was held until the last read had ended.
    public let isIntact: Bool
    /// How long the instance was paused by this, in nanoseconds; nil where that is not known.
    public let pausedNanoseconds: UInt64?
    /// What a user ought to know, a sentence each.
    public let warnings: [String]
    /// Why what was read is not to be relied on as a whole, or what is still held; nil where all is
    /// as it should be.
    public let problem: GloveboxError?
    /// How the session ended, for records.
    package let ending: String
    /// How the instance came to run again, for records.
    package let resumption: String

    /// What the front knows and the custodian said.
    init(_ hold: Hold, _ remains: HoldRemains?, _ ending: String?) {
        session = hold.session
        consistency = hold.consistency
        switch remains {
        case .released(let release):
            isIntact = release.isIntact && ending == nil
            pausedNanoseconds = release.pausedNanoseconds
            warnings = release.warnings.map(HoldText.sentence)
            self.ending = release.ending.rawValue
            resumption = release.resumption.rawValue
            problem = isIntact ? nil : Self.broken(ending ?? "It was touched meanwhile.")
        case .recovered(let found):
            isIntact = false
            pausedNanoseconds = nil
            warnings = found.detail.isEmpty ? [] : [HoldText.sentence(found.detail)]
            self.ending = SessionRecord.Ending.recovered.rawValue
            resumption = Self.unknown
            problem = Self.broken(ending ?? "The custodian has ended.")
        case .held, .unknown, nil:
            isIntact = false
            pausedNanoseconds = nil
            warnings = []
            self.ending = Self.stillHeld
            resumption = Self.unknown
            problem = Self.held(ending, remains)
        }
    }

    /// The words for what is not over, or not known.
    package static let stillHeld = "still-held"
    package static let unknown = "unknown"

    private static func broken(_ why: String) -> GloveboxError {
        GloveboxError(
            .wrongState,
            "The instance was not held until all was read, so the result is not complete. \(why)",
            advice: "Run the command again."
        )
    }

    private static func held(_ ending: String?, _ remains: HoldRemains?) -> GloveboxError {
        var why = "The custodian goes on trying to let go of it."
        if case .held(let sentence)? = remains { why = sentence }
        if case .unknown? = remains { why = "Whether it runs is not known." }
        let first = ending.map { "\($0) " } ?? ""
        return GloveboxError(
            .held,
            "\(first)The instance is still held. \(why)",
            advice: CustodianClient.recoverAdvice
        )
    }
}
