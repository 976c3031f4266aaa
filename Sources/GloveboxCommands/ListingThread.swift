internal import Casework
internal import DiskFormats
internal import Linux

/// The thread that formats and writes a long listing.
final class ListingThread {
    private struct State: Sendable {
        var parts: [ListedPart] = []
        var isClosed = false
        /// How many problems there were, once all is written, or why it could not be.
        var outcome: Result<Int, any Error>?
    }

    private let monitor: Monitor<State>
    private let thread: WorkerThread

    /// Enough to be busy with while the walk reads ahead in a large directory.
    private static let depth = 256

    init(_ style: FileListing.Style) {
        let monitor = Monitor(State())
        self.monitor = monitor
        thread = WorkerThread {
            let outcome = Result { try Self.write(style, monitor) }
            monitor.update { $0.outcome = outcome }
        }
    }

    /// Hands over a part; waits while too many are under way, throws where writing has failed.
    func push(_ part: ListedPart) throws {
        let outcome = monitor.wait { state -> Result<Int, any Error>?? in
            if let outcome = state.outcome { return .some(outcome) }
            guard state.parts.count < Self.depth else { return nil }
            state.parts.append(part)
            return .some(nil)
        }
        _ = try outcome?.get()
    }

    /// Waits until all is written; returns how many problems there were.
    func finish() throws -> Int {
        monitor.update { $0.isClosed = true }
        thread.join()
        return try monitor.update { $0.outcome }?.get() ?? 0
    }

    private static func write(_ style: FileListing.Style, _ monitor: Monitor<State>) throws -> Int {
        var writer = ListingWriter(style)
        while true {
            let parts = monitor.wait { state -> [ListedPart]? in
                guard !state.parts.isEmpty || state.isClosed else { return nil }
                let all = state.parts
                state.parts = []
                return all
            }
            if parts.isEmpty { return try writer.finish() }
            for part in parts { try writer.add(part) }
        }
    }
}
