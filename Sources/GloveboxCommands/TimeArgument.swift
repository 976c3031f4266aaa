internal import Casework
internal import DiskFormats

extension Timestamp {
    /// A time as an option has it: a day, or a second, in UTC.
    init(argument text: String) throws(GloveboxError) {
        guard let time = Timestamp(iso8601: text) else {
            throw GloveboxError(
                .usage,
                "\(text) is no time.",
                advice: "Write 2026-01-31 or 2026-01-31T12:00:00Z (UTC)."
            )
        }
        self = time
    }
}
