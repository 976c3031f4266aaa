package import Custody
internal import DiskFormats

extension GloveboxError {
    /// Why the sessions of held instances cannot be read.
    package init(_ error: SessionError) {
        let text = GuestName.escaped([UInt8](error.description.utf8))
        switch error {
        case .noSession: self.init(.notFound, "\(text).", advice: "`glovebox sessions` lists them.")
        case .held: self.init(.wrongState, "The instance is \(text).")
        case .refused, .system:
            self.init(
                .unreadable,
                "The sessions cannot be read: \(text).",
                advice:
                    "Sessions of held instances are root's; docs/sessions.md says what they are."
            )
        }
    }
}
