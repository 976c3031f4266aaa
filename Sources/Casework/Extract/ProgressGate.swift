internal import Linux

/// Passes progress on, at most ten times a second.
struct ProgressGate {
    private let show: (Extraction.Progress) -> Void
    private var progress = Extraction.Progress()
    private var next: UInt64 = 0
    private var pending = false

    init(_ show: @escaping (Extraction.Progress) -> Void) { self.show = show }

    mutating func add(files: Int, bytes: UInt64, path: () -> [UInt8]) {
        progress.files += files
        progress.bytes += bytes
        pending = true
        // The clock costs more than the rest of this: ask it now and then.
        guard progress.files & 15 == 0 || bytes > 1 << 16 else { return }
        let now = monotonicNanoseconds()
        guard now >= next else { return }
        next = now + 100_000_000
        progress.path = path()
        pending = false
        show(progress)
    }

    /// Shows the final numbers.
    mutating func finish() { if pending { show(progress) } }
}
