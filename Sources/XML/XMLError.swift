/// Why a text is not the XML that was expected.
package struct XMLError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong, as the end of a sentence that begins with the name of the text.
    package let reason: String
    /// The byte at which it was noticed.
    package let offset: Int

    /// Creates an error.
    package init(_ reason: String, at offset: Int) {
        self.reason = reason
        self.offset = offset
    }

    /// The reason with the place.
    package var description: String { "\(reason) (at byte \(offset))" }
}
