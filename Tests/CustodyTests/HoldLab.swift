import EngineProtocol
import Foundation
import Linux
import Testing

@testable import Custody

/// A custodian on a thread of its own, with a libvirt of ours, and the front's end of its channel.
final class HoldLab {
    let libvirt: FakeLibvirt
    let state: String
    let front: Channel
    private let done = DispatchSemaphore(value: 0)

    static func times() -> CustodyTimes {
        var times = CustodyTimes()
        times.confirmation = 2
        times.glance = 0.002
        times.stop = 0.1
        times.settled = 0.01
        times.settling = 0.5
        times.retry = 0.005
        times.overdue = 2
        times.look = 0.02
        times.quiet = 0.002
        return times
    }

    static let nobody = ProcessIdentity(processID: .max, startTicks: 1)

    init(
        libvirt: FakeLibvirt = FakeLibvirt(),
        state: String? = nil,
        _ adjust: (inout CustodySurroundings) -> Void = { _ in }
    ) throws {
        self.libvirt = libvirt
        let place = FileManager.default.temporaryDirectory.path
        self.state = state ?? "\(place)/gb-\(UInt32.random(in: 0 ... .max))"
        var surroundings = CustodySurroundings(front: Self.nobody, programs: []) { _ in libvirt }
        surroundings.times = Self.times()
        adjust(&surroundings)
        let (near, far) = try Channel.pair(named: "custody")
        front = near
        _ = WorkerThread { [done, surroundings] in
            Custodian(far, surroundings).work()
            far.end()
            done.signal()
        }
    }

    deinit {
        front.end()
        try? FileManager.default.removeItem(atPath: state)
    }

    func send(_ request: CustodyRequest) { try? front.send(request.bytes) }

    /// The next report; nil where the custodian has ended.
    func report(within seconds: Double = 5) throws -> CustodyReport? {
        guard let bytes = try front.receive(deadline: deadline(inSeconds: seconds)) else {
            return nil
        }
        return try CustodyReport(bytes)
    }

    func ask(_ request: CustodyRequest) throws -> CustodyReport? {
        send(request)
        return try report()
    }

    func order(_ mode: HoldMode, seconds: UInt32 = 60) -> HoldOrder {
        HoldOrder(
            run: DomainRun(uuid: FakeLibvirt.uuid, id: 7),
            mode: mode,
            pauseSecondsMax: seconds,
            stateDirectory: state,
            user: "alice",
            exports: mode == .brief ? [HoldOrder.Export(target: "vda", byteCount: 1 << 20)] : [],
            otherTargets: ["vdb"]
        )
    }

    /// All that a front asks for, in its order.
    func conversation(_ mode: HoldMode) -> [CustodyRequest] {
        [
            .connect(uri: nil), .find("instance-0000002a"), .hold(order(mode)),
            .step(.connected, readers: []), .step(.mounted, readers: []),
            .step(.unmounted, readers: []), .step(.disconnected, readers: []), .release,
        ]
    }

    /// Connects, finds and holds; the answer to the last.
    func hold(_ mode: HoldMode, seconds: UInt32 = 60) throws -> CustodyReport? {
        _ = try ask(.connect(uri: nil))
        _ = try ask(.find("instance-0000002a"))
        return try ask(.hold(order(mode, seconds: seconds)))
    }

    /// Holds the whole conversation, and stops when told to; how it was let go of.
    func converse(_ mode: HoldMode) throws -> CustodyReport? {
        var last: CustodyReport?
        for request in conversation(mode) {
            last = try ask(request)
            if case .failed? = last { return last }
            if case .invalidated? = last { return try stop() }
        }
        return last
    }

    /// Says that it has stopped; the last report.
    func stop() throws -> CustodyReport? {
        send(.stopped)
        while let report = try report() {
            if case .invalidated = report { continue }
            return report
        }
        return nil
    }

    /// Ends the conversation, and waits until the custodian has ended.
    func end(within seconds: Double = 5) {
        front.end()
        let result = done.wait(timeout: .now() + seconds)
        #expect(result == .success, "the custodian is still at work")
        if result == .success { done.signal() }
    }

    var hasEnded: Bool {
        guard done.wait(timeout: .now() + 0.05) == .success else { return false }
        done.signal()
        return true
    }

    func history() throws -> SessionHistory? {
        guard
            case .history(let history)? = try SessionStore(stateDirectory: state).list().last?
                .content
        else { return nil }
        return history
    }

    /// The events of the last session's journal.
    func events() throws -> [String] {
        try history()?.records.map { "\($0.record.event)" } ?? []
    }

    /// Nothing is left of it: the domain runs, no job does, all sessions have ended, no file is there.
    func expectNothingHeld(_ comment: Comment? = nil) throws {
        #expect(libvirt.isRunning, comment)
        #expect(!libvirt.hasJob, comment)
        for entry in try SessionStore(stateDirectory: state).list() {
            guard case .history(let history) = entry.content else {
                Issue.record("\(entry) \(comment?.rawValue ?? "")")
                continue
            }
            #expect(history.hasEnded, comment)
        }
        let exports = try? FileManager.default.contentsOfDirectory(atPath: "\(state)/exports")
        #expect(exports ?? [] == [], comment)
    }
}
