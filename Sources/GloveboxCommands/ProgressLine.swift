internal import Casework
internal import DiskFormats
internal import Linux

/// One line on a terminal that tells how far an extraction is, and how fast.
final class ProgressLine {
    private let isShown: Bool
    private let start = monotonicNanoseconds()
    private var isDrawn = false

    /// Shows progress where standard error is a terminal and the user wants it.
    init(shown: Bool) { isShown = shown && StandardStream.error.isTerminal }

    func show(_ progress: Extraction.Progress) {
        guard isShown else { return }
        let seconds = Double(monotonicNanoseconds() - start) / 1e9
        let rate = seconds > 0 ? UInt64(Double(progress.bytes) / seconds) : 0
        var line = "\(humanSize(progress.bytes)), \(progress.files) files, \(humanSize(rate))/s"
        let room = (StandardStream.error.columns ?? 80) - line.count - 4
        let path = GuestName.escaped(progress.path)
        if room > 10 { line += "  \(path.count > room ? "…\(path.suffix(room - 1))" : path)" }
        draw("\r\u{1B}[K\(line)")
        isDrawn = true
    }

    /// Removes the line.
    func end() {
        if isDrawn { draw("\r\u{1B}[K") }
        isDrawn = false
    }

    private func draw(_ text: String) { try? StandardStream.error.write([UInt8](text.utf8)) }
}
