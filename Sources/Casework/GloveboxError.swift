public import DiskFormats

/// Why something could not be done: what happened, to what, and what to do next.
public struct GloveboxError: Error, Equatable, Sendable {
    /// Decides the exit code of a command; the raw value is that code.
    public enum Kind: Int32, Sendable {
        /// The request itself makes no sense.
        case usage = 2
        /// A rule forbids it.
        case refused = 3
        /// There is no such instance, disk, volume or path.
        case notFound = 4
        /// Damaged, unsupported, or only partly read.
        case unreadable = 5
        /// The instance or image is in a state that does not allow it now.
        case wrongState = 6
        /// An instance may still be held: `glovebox recover` lets go of it.
        case held = 7
        /// Interrupted, and cleaned up.
        case interrupted = 130
    }

    /// What kind of failure it is.
    public let kind: Kind
    /// What happened, to what; a sentence.
    public let message: String
    /// What to do next; a sentence, empty where there is nothing to advise.
    public let advice: String

    /// Creates an error; names from a disk in the texts must be escaped already.
    public init(_ kind: Kind, _ message: String, advice: String = "") {
        self.kind = kind
        self.message = message
        self.advice = advice
    }

    /// An error of a disk's structure, met while looking at `object`.
    public init(_ error: DiskError, at object: String) {
        let kind: Kind = error.reason == .refused ? .refused : .unreadable
        self.init(kind, "\(object): \(error)")
    }
}

extension GloveboxError {
    /// Why a disk could not be attached.
    package init(_ error: AttachError) {
        let kind: Kind =
            switch error.kind {
            case .usage: .usage
            case .refused: .refused
            case .notFound: .notFound
            case .damaged: .unreadable
            case .inUse: .wrongState
            }
        self.init(kind, error.description)
    }
}

extension GloveboxError: CustomStringConvertible {
    /// Message and advice.
    public var description: String { advice.isEmpty ? message : "\(message) \(advice)" }
}

/// Runs `body`, which reads a disk, and says of its errors what was being looked at.
package func reading<Value>(
    _ object: @autoclosure () -> String,
    _ body: () throws(DiskError) -> Value
) throws(GloveboxError) -> Value {
    do throws(DiskError) { return try body() } catch {
        throw GloveboxError(error, at: object())
    }
}
