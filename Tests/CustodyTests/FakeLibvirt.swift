import EngineProtocol
import Foundation
import Linux
import Synchronization

@testable import Custody

/// A libvirt with one domain, on which everything can go wrong at any call.
final class FakeLibvirt: DomainHost, Sendable {
    static let uuid = "6f1c2d3e-0000-4000-8000-0123456789ab"
    static let uri = "qemu:///system"

    /// What goes wrong at a call.
    enum Fault: Sendable {
        /// It is not done, and that is said.
        case error(DomainControlError.Kind)
        /// The connection is lost before, or after, it is done.
        case lostBefore, lostAfter
        /// It is done, and no event tells of it.
        case silent
    }

    struct State: Sendable {
        var id: Int32? = 7
        var state = DomainState.running
        var reason: PauseReason?
        var job = DomainJob.none
        var backup: String?
        var isKnown = true
        var isOccupied = false
        var uri = FakeLibvirt.uri
        /// Each call so far, such as `suspend`.
        var calls: [String] = []
        /// What goes wrong at the call of that name and number, or of that number in all.
        var fault: @Sendable (String, Int, Int) -> Fault? = { _, _, _ in nil }
        /// What is done by others just before the call of that name and number.
        var meanwhile: @Sendable (String, Int) -> Change? = { _, _ in nil }
        var connections: [FakeConnection] = []
        /// How often connecting fails from now on.
        var refusals = 0

        func count(_ name: String) -> Int { calls.count { $0 == name } }
    }

    /// What somebody else does to the domain.
    enum Change: Sendable {
        case suspend, resume, stop, restart, migrate, reset, ioError, undefine
    }

    let state = Shared(State())

    func connect() throws(DomainControlError) -> any DomainConnection {
        let isRefused = state.withState { state in
            state.calls.append("connect")
            state.refusals -= 1
            return state.refusals >= 0
        }
        guard !isRefused, let (near, far) = try? Channel.pair(named: "events") else {
            throw DomainControlError(.connectionLost, "no libvirtd")
        }
        let connection = FakeConnection(self, near, far)
        state.withState { $0.connections.append(connection) }
        return connection
    }

    var connections: [FakeConnection] { state.withState { $0.connections } }
    var calls: [String] { state.withState { $0.calls } }
    var isRunning: Bool { state.withState { $0.state == .running } }
    var isPaused: Bool { state.withState { $0.state == .paused } }
    var backup: String? { state.withState { $0.backup } }
    var hasJob: Bool { backup != nil }

    func setFault(_ fault: @escaping @Sendable (String, Int, Int) -> Fault?) {
        state.withState { $0.fault = fault }
    }

    /// Tells all who listen.
    func tell(_ event: DomainEvent) {
        for connection in state.withState({ $0.connections }) { connection.tell(event) }
    }

    func change(_ change: Change) {
        let event: DomainEvent? = state.withState { state in
            switch change {
            case .suspend:
                guard state.state == .running else { return nil }
                (state.state, state.reason) = (.paused, .user)
                return .suspended
            case .resume:
                guard state.state == .paused else { return nil }
                (state.state, state.reason) = (.running, nil)
                return .resumed
            case .stop:
                (state.id, state.state, state.reason, state.backup) = (nil, .shutOff, nil, nil)
                return .stopped
            case .restart:
                (state.id, state.state, state.reason, state.backup) = (8, .running, nil, nil)
                return .started
            case .migrate:
                state.job = .migration
                return nil
            case .reset: return .rebooted
            case .ioError:
                (state.state, state.reason) = (.paused, .ioError)
                return .ioError
            case .undefine:
                state.isKnown = false
                return nil
            }
        }
        if let event { tell(event) }
    }
}

/// A value that threads share.
final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>
    init(_ value: Value) { self.value = Mutex(value) }

    func withState<Result: Sendable>(_ body: (inout sending Value) -> sending Result) -> Result {
        value.withLock(body)
    }
}

final class FakeConnection: DomainConnection, Sendable {
    let libvirt: FakeLibvirt
    private let near: Channel
    private let far: Channel
    private let told = Mutex<(events: [DomainEvent], isLost: Bool)>(([], false))

    init(_ libvirt: FakeLibvirt, _ near: Channel, _ far: Channel) {
        (self.libvirt, self.near, self.far) = (libvirt, near, far)
    }

    var uri: String { libvirt.state.withState { $0.uri } }
    var versions: String { "fake 1" }
    var signal: FileDescriptor { far.descriptor }

    func tell(_ event: DomainEvent) {
        let isLost = told.withLock { told in
            if !told.isLost { told.events.append(event) }
            return told.isLost
        }
        if !isLost { try? near.send([]) }
    }

    func lose() {
        tell(.connectionClosed)
        told.withLock { $0.isLost = true }
    }

    func takeEvents() -> [DomainEvent] {
        told.withLock { told in
            while let ready = try? waitForAny(
                of: [(far.descriptor.number, .readable)],
                deadline: 0
            ),
                ready.first?.isEmpty == false
            {
                _ = try? far.receive()
            }
            defer { told.events = [] }
            return told.events
        }
    }

    /// One call of `name`, with what goes wrong at it.
    func call<Value>(
        _ name: String,
        _ body: (Bool) throws(DomainControlError) -> Value
    ) throws(DomainControlError) -> Value {
        let (fault, change) = libvirt.state.withState { state in
            state.calls.append(name)
            let count = state.count(name)
            return (state.fault(name, count, state.calls.count), state.meanwhile(name, count))
        }
        if let change { libvirt.change(change) }
        let lost = DomainControlError(.connectionLost, "the connection was lost")
        if told.withLock({ $0.isLost }) { throw lost }
        guard libvirt.state.withState({ $0.isKnown }) else {
            throw DomainControlError(.noDomain, "no such domain")
        }
        switch fault {
        case .error(let kind): throw DomainControlError(kind, "it went wrong")
        case .lostBefore:
            lose()
            throw lost
        case .lostAfter:
            _ = try body(true)
            lose()
            throw lost
        case .silent: return try body(false)
        case nil: return try body(true)
        }
    }

    func domain(named name: String) throws(DomainControlError) -> any DomainControl {
        try call("find") { _ throws(DomainControlError) in
            FakeDomain(self)
        }
    }

    func domains() throws(DomainControlError) -> [any DomainControl] {
        try call("list") { _ throws(DomainControlError) in [FakeDomain(self)] }
    }
}

final class FakeDomain: DomainControl, Sendable {
    private let connection: FakeConnection
    private var libvirt: FakeLibvirt { connection.libvirt }
    let uuid = FakeLibvirt.uuid
    let name = "instance-0000002a"

    init(_ connection: FakeConnection) { self.connection = connection }

    func status() throws(DomainControlError) -> DomainStatus {
        try connection.call("status") { _ throws(DomainControlError) in
            let state = libvirt.state.withState { $0 }
            return DomainStatus(
                id: state.id,
                state: state.state,
                pauseReason: state.reason,
                job: state.backup == nil ? state.job : .backup
            )
        }
    }

    func isOccupied() throws(DomainControlError) -> Bool {
        try connection.call("isOccupied") { _ throws(DomainControlError) in
            libvirt.state.withState { $0.isOccupied }
        }
    }

    func description() throws(DomainControlError) -> String {
        try connection.call("description") { _ throws(DomainControlError) in "<domain/>" }
    }

    func suspend() throws(DomainControlError) { try toggle("suspend", .suspend) }
    func resume() throws(DomainControlError) { try toggle("resume", .resume) }

    private func toggle(_ name: String, _ change: FakeLibvirt.Change) throws(DomainControlError) {
        try connection.call(name) { isTold throws(DomainControlError) in
            guard !isTold else { return libvirt.change(change) }
            libvirt.state.withState { state in
                let isSuspend = name == "suspend"
                (state.state, state.reason) = isSuspend ? (.paused, .user) : (.running, nil)
            }
        }
    }

    func beginBackup(_ xml: String) throws(DomainControlError) {
        try connection.call("beginBackup") { _ throws(DomainControlError) in
            libvirt.state.withState { $0.backup = xml }
        }
    }

    func backupDescription() throws(DomainControlError) -> String? {
        try connection.call("backupDescription") { _ throws(DomainControlError) in
            libvirt.state.withState { $0.backup }
        }
    }

    func abortJob() throws(DomainControlError) {
        try connection.call("abortJob") { _ throws(DomainControlError) in
            libvirt.state.withState { $0.backup = nil }
        }
    }

    func events() -> [DomainEvent] { connection.takeEvents() }
}
