internal import Casework
internal import DiskFormats
internal import Linux

/// One line on a terminal that tells how far an extraction is, how fast, and how long it may take.
final class ProgressLine {
    private let isShown: Bool
    private let total: UInt64?
    private let start = monotonicNanoseconds()
    private var isDrawn = false

    /// Shows progress where standard error is a terminal and the user wants it; only then is `total`
    /// asked for.
    init(shown: Bool, total: () -> UInt64?) {
        isShown = shown && StandardStream.error.isTerminal
        self.total = isShown ? total() : nil
    }

    func show(_ progress: Extraction.Progress) {
        guard isShown else { return }
        let seconds = Double(monotonicNanoseconds() - start) / 1e9
        let line = Self.line(progress, of: total, after: seconds)
        let room = (StandardStream.error.columns ?? 80) - line.count - 4
        let path = GuestName.escaped(progress.path)
        let shown = path.count > room ? "…\(path.suffix(max(0, room - 1)))" : path
        draw("\r\u{1B}[K\(line)\(room > 10 ? "  \(shown)" : "")")
        isDrawn = true
    }

    /// Removes the line.
    func end() {
        if isDrawn { draw("\r\u{1B}[K") }
        isDrawn = false
    }

    /// `118 MiB of 236 MiB, 1200 files, 59.0 MiB/s, 2 s left`.
    static func line(_ progress: Extraction.Progress, of total: UInt64?, after seconds: Double)
        -> String
    {
        let rate = seconds > 0 ? Double(progress.bytes) / seconds : 0
        var line = humanSize(progress.bytes)
        if let total, total >= progress.bytes { line += " of \(humanSize(total))" }
        line += ", \(progress.files) files, \(humanSize(UInt64(rate)))/s"
        // Before the first second a rate says nothing about the rest.
        if let total, total >= progress.bytes, rate > 0, seconds >= 1 {
            line += ", \(duration(Double(total - progress.bytes) / rate)) left"
        }
        return line
    }

    private static func duration(_ seconds: Double) -> String {
        let whole = Int(min(seconds.rounded(.up), 360_000))
        if whole < 90 { return "\(whole) s" }
        if whole < 5400 { return "\((whole + 30) / 60) min" }
        return "\(whole / 3600) h \(whole / 60 % 60) min"
    }

    private func draw(_ text: String) { try? StandardStream.error.write([UInt8](text.utf8)) }
}
