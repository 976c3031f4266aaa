internal import DiskFormats
internal import Linux

/// Standard output, collected into large writes.
///
/// Where the reader of a pipe is gone, SIGPIPE ends the program as it does every Unix filter;
/// nothing is held that would need cleaning up.
struct StandardOutput: ~Copyable {
    private var pending: [UInt8] = []
    private static let writeSize = 256 * 1024

    /// Whether a person is looking.
    let isTerminal = StandardStream.output.isTerminal

    init() { pending.reserveCapacity(Self.writeSize + 4096) }

    mutating func write(_ bytes: some Collection<UInt8>) throws {
        pending.append(contentsOf: bytes)
        if pending.count >= Self.writeSize { try flush() }
    }

    mutating func write(_ text: String) throws { try write(text.utf8) }

    mutating func line(_ text: String = "") throws { try write(text + "\n") }

    /// Hands over everything; call it at the end, so that a full disk is not taken for success.
    mutating func flush() throws {
        try StandardStream.output.write(pending)
        pending.removeAll(keepingCapacity: true)
    }
}

/// Messages for people: standard error, one line each.
enum Message {
    /// Says something on standard error; failures to do so are ignored.
    ///
    /// Arguments and names of the host end up in messages too, so nothing that a terminal acts on
    /// leaves here but line breaks.
    static func say(_ text: String) {
        try? StandardStream.error.write(harmless(text) + [UInt8(ascii: "\n")])
    }

    /// ``harmless(_:)`` as a string.
    static func readable(_ text: String) -> String {
        String(decoding: harmless(text), as: UTF8.self)
    }

    /// The text without anything that a terminal acts on but line breaks; bytes of host names that
    /// are not UTF-8 become `\xNN` as well.
    static func harmless(_ text: String) -> [UInt8] {
        var safe: [UInt8] = []
        for scalar in text.unicodeScalars {
            let bytes = CommandLineBytes.byte(of: scalar).map { [$0] } ?? Array(String(scalar).utf8)
            if scalar == "\n" || GuestName.isHarmless(scalar) {
                safe += bytes
            } else {
                GuestName.appendEscaped(bytes, to: &safe)
            }
        }
        return safe
    }

    /// The same as one line, in which nobody's name begins another.
    static func harmlessLine(_ text: String) -> [UInt8] {
        harmless(text).flatMap { $0 == UInt8(ascii: "\n") ? Array("\\n".utf8) : [$0] }
            + [UInt8(ascii: "\n")]
    }

    /// Something that the user should know, but that does not stop the command.
    static func warn(_ text: String) { say("glovebox: warning: \(text)") }
}
