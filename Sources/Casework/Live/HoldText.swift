internal import DiskFormats

/// Texts from libvirt and whoever speaks for it, which strangers may have chosen.
package enum HoldText {
    /// More of a text is not shown.
    private static let bytesMax = 2_000

    /// The text without anything that a terminal acts on, and no longer than a message should be.
    package static func plain(_ text: String) -> String {
        GuestName.escaped(Array(text.utf8.prefix(bytesMax)))
    }

    /// The same as a sentence.
    static func sentence(_ text: String) -> String {
        let plain = plain(text)
        guard let last = plain.last, !".!?".contains(last) else { return plain }
        return plain + "."
    }
}
