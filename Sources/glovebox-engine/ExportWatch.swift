internal import DiskFormats
internal import Linux
internal import NBDClient
internal import Synchronization

/// Sees to it that disks' servers answer, first and from then on; each on a thread of its own.
///
/// A limit of processor time would end a long extraction. So a server that has stopped serving is
/// known by this: it does not answer a small request in a long time.
final class ExportWatch: Sendable {
    /// What was seen.
    enum Note: Sendable {
        /// A server answers; the disk has this size.
        case ready(Int, byteCount: UInt64)
        /// A server does not, or not any more.
        case failed(Int, String)
    }

    /// Becomes readable when there are notes.
    let signal: FileDescriptor
    private let bell: FileDescriptor
    private let pending = Mutex<[Note]>([])

    private static let answerSeconds = 60.0
    private static let pauseSeconds = 5.0

    init() throws(SystemError) { (signal, bell) = try FileDescriptor.pipe() }

    /// Watches the server at `socket` from now on, until it fails.
    func begin(_ index: Int, _ socket: String, readySeconds: Double) {
        _ = WorkerThread { [self] in
            do throws(DiskError) {
                try watch(index, socket, readySeconds)
            } catch {
                add(.failed(index, error.detail))
            }
        }
    }

    private func watch(
        _ index: Int,
        _ socket: String,
        _ readySeconds: Double
    ) throws(DiskError) {
        let first = NBDSource.Options(timeoutSeconds: readySeconds, connectionsMax: 1)
        let size = try NBDSource(socket: socket, name: "disk \(index)", options: first).byteCount
        add(.ready(index, byteCount: size))
        let later = NBDSource.Options(timeoutSeconds: Self.answerSeconds, connectionsMax: 1)
        let source = try NBDSource(socket: socket, name: "disk \(index)", options: later)
        while source.answers() { pauseThread(seconds: Self.pauseSeconds) }
        add(.failed(index, "it has not answered for \(Int(Self.answerSeconds)) s"))
    }

    private func add(_ note: Note) {
        pending.withLock { $0.append(note) }
        try? bell.write([0])
    }

    /// The notes that nobody has taken yet.
    func notes() -> [Note] {
        _ = try? signal.readSome(64)
        return pending.withLock { notes in
            defer { notes = [] }
            return notes
        }
    }
}
