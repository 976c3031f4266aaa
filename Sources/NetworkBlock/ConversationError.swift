internal import DiskFormats
internal import Linux

/// What came of a conversation with a server instead of what was asked for.
struct ConversationError: Error, Equatable {
    let reason: DiskError.Reason
    let message: String
    /// Whether nothing that the server sends from now on can be told apart; only an error that the
    /// server reports, in its proper form, leaves the conversation whole.
    let endsConversation: Bool

    /// The server says, as the protocol has it, that it does not do what was asked for.
    static func declined(_ message: String) -> ConversationError {
        ConversationError(reason: .unreadable, message: message, endsConversation: false)
    }

    /// The server does what the protocol does not allow.
    static func violation(_ message: String) -> ConversationError {
        ConversationError(reason: .unreadable, message: message, endsConversation: true)
    }

    /// The server cannot be spoken to from here.
    static func unsupported(_ message: String) -> ConversationError {
        ConversationError(reason: .unsupported, message: message, endsConversation: true)
    }

    /// The server is not, or not any more, what it is to be.
    static func inconsistent(_ message: String) -> ConversationError {
        ConversationError(reason: .inconsistent, message: message, endsConversation: true)
    }

    init(reason: DiskError.Reason, message: String, endsConversation: Bool) {
        self.reason = reason
        self.message = message
        self.endsConversation = endsConversation
    }

    /// The conversation failed beneath the protocol.
    init(_ error: SystemError, during what: String) {
        let message =
            switch error.name {
            case "ETIMEDOUT": "no answer to \(what) in time"
            case "ECONNRESET", "EPIPE": "the server ended the conversation during \(what)"
            default: "\(what): \(error.reason) (\(error.call): \(error.name))"
            }
        self.init(reason: .unreadable, message: message, endsConversation: true)
    }
}
