/// Why a text is not the JSON that was expected.
package struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong, as the end of a sentence that begins with the name of the text.
    package let reason: String
    /// The byte at which it was noticed; nil where it concerns a member.
    package let offset: Int?

    /// Creates an error.
    package init(_ reason: String, at offset: Int? = nil) {
        self.reason = reason
        self.offset = offset
    }

    /// The reason, with the place where there is one.
    package var description: String { offset.map { "\(reason) (at byte \($0))" } ?? reason }
}
