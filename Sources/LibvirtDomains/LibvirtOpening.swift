internal import Custody
internal import Linux
internal import Synchronization

/// Makes the connections of a host, none of which anybody waits for longer than said.
///
/// libvirt itself waits for ever for a libvirtd that lets in and then does not answer: keep-alives
/// begin with the first answer. So each is opened on a thread of its own. What is not there in time
/// goes on by itself, and the next call waits for that one: a libvirtd that hangs finds one client
/// at its door, however often it was tried.
final class LibvirtOpener: Sendable {
    private struct State {
        var unfinished: LibvirtOpening?
        var hasConnected = false
    }

    private let uri: String
    private let seconds: (first: Double, again: Double)
    private let state = Mutex(State())

    /// A first connection may have to start libvirtd, which then asks QEMU what it can do; whoever
    /// makes another one has been talking to it, and has more to do meanwhile than to wait.
    init(_ uri: String, seconds: (first: Double, again: Double) = (30, 2)) {
        (self.uri, self.seconds) = (uri, seconds)
    }

    func connect() throws(DomainControlError) -> LibvirtConnection {
        let (unfinished, patience) = state.withLock { state in
            defer { state.unfinished = nil }
            return (state.unfinished, state.hasConnected ? seconds.again : seconds.first)
        }
        let opening: LibvirtOpening
        if let unfinished { opening = unfinished } else { opening = try LibvirtOpening(uri) }
        guard let outcome = opening.outcome(within: patience) else {
            state.withLock { $0.unfinished = opening }
            throw DomainControlError(
                .connectionLost,
                "libvirt at \(harmless(uri)) has not answered for \(Int(patience)) s"
            )
        }
        let connection = try outcome.get()
        state.withLock { $0.hasConnected = true }
        return connection
    }
}

/// One connection that is being opened; closed again where nobody takes it.
private final class LibvirtOpening: Sendable {
    typealias Outcome = Result<LibvirtConnection, DomainControlError>

    /// What the thread leaves to whoever waits.
    private final class Answer: Sendable {
        let arrived: FileDescriptor
        let bell: FileDescriptor
        let outcome = Mutex<Outcome?>(nil)

        init() throws(SystemError) { (arrived, bell) = try FileDescriptor.pipe() }

        func give(_ made: Outcome) {
            outcome.withLock { $0 = made }
            try? bell.write([0])
        }
    }

    private let answer: Answer
    private let thread: Mutex<WorkerThread>

    init(_ uri: String) throws(DomainControlError) {
        let answer: Answer
        do throws(SystemError) { answer = try Answer() } catch {
            throw DomainControlError(.failed, "\(error)")
        }
        self.answer = answer
        thread = Mutex(
            WorkerThread {
                answer.give(Outcome { () throws(DomainControlError) in try LibvirtConnection(uri) })
            }
        )
    }

    /// What came of it; nil where that is not known in time.
    ///
    /// Given once: not to be asked for again after that.
    func outcome(within seconds: Double) -> Outcome? {
        let end = deadline(inSeconds: seconds)
        let ready = try? waitForAny(of: [(answer.arrived.number, .readable)], deadline: end)
        guard ready?.first?.isEmpty == false else { return nil }
        thread.withLock { $0.join() }
        return answer.outcome.withLock { $0.take() }
    }
}
