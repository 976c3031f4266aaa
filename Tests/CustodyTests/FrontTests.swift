import Casework
import DiskFormats
import EngineProtocol
import Foundation
import Linux
import Testing

@testable import Custody

/// The front's client and the custodian, over their channel, on a libvirt of ours.
@Suite struct FrontTests {
    /// Starts custodians on threads of this process, all on one libvirt.
    private final class Starting: CustodianStarting {
        let libvirt = FakeLibvirt()
        let state = FileManager.default.temporaryDirectory.path + "/gb-\(UUID())"
        let channels = Shared<[Channel]>([])

        var mayHold: Bool { true }

        deinit { try? FileManager.default.removeItem(atPath: state) }

        func start() throws(GloveboxError) -> CustodianProcess {
            guard let (near, far) = try? Channel.pair(named: "custody") else {
                throw GloveboxError(.unreadable, "no channel")
            }
            channels.withState { $0.append(far) }
            var surroundings = CustodySurroundings(front: HoldLab.nobody, programs: []) {
                [libvirt] _ in libvirt
            }
            surroundings.times = HoldLab.times()
            surroundings.times.stop = 2
            _ = WorkerThread { [surroundings] in
                Custodian(far, surroundings).work()
                far.end()
            }
            return CustodianProcess(channel: near, child: nil)
        }

        func hold(_ mode: HoldMode = .strict, seconds: UInt32 = 60) throws -> Hold {
            let client = try CustodianClient(uri: nil, starting: self)
            let facts = try client.find("x")
            return try client.hold(
                HoldOrder(
                    run: try #require(facts.run),
                    mode: mode,
                    pauseSecondsMax: seconds,
                    stateDirectory: state,
                    user: "alice"
                )
            )
        }
    }

    @Test func `a hold and its release`() throws {
        let starting = Starting()
        let hold = try starting.hold()
        #expect(starting.libvirt.isPaused)
        let disk = hold.guarded(MemorySource([UInt8](repeating: 7, count: 512)), name: "disk")
        try hold.connected()
        try hold.mounted()
        // A helper that begins later is told of in between.
        try hold.connected(readers: [OwnProcess.processID])
        #expect(try disk.bytes(at: 0, count: 1) == [7])
        let report = hold.release()
        #expect(report.isIntact)
        #expect(report.resumption == "confirmed")
        #expect(starting.libvirt.isRunning)
    }

    @Test func `one that somebody else resumes gives no more bytes and is not intact`() throws {
        let starting = Starting()
        let hold = try starting.hold()
        let disk = hold.guarded(MemorySource([UInt8](repeating: 7, count: 512)), name: "disk")
        try hold.connected()
        starting.libvirt.change(.resume)
        let end = deadline(inSeconds: 5)
        while hold.isHeld, monotonicNanoseconds() < end { pauseThread(seconds: 0.002) }
        #expect(throws: DiskError.self) { try disk.bytes(at: 0, count: 1) }
        let report = hold.release()
        #expect(!report.isIntact)
        #expect(report.problem?.kind == .wrongState)
        #expect(report.ending == "invalidated")
        #expect(starting.libvirt.isRunning)
    }

    @Test func `the longest pause ends it, and it runs again before it is let go of`() throws {
        let starting = Starting()
        let hold = try starting.hold(seconds: 1)
        try hold.connected()
        let end = deadline(inSeconds: 8)
        while starting.libvirt.isPaused, monotonicNanoseconds() < end { pauseThread(seconds: 0.01) }
        #expect(starting.libvirt.isRunning)
        let report = hold.release()
        #expect(report.ending == "limited")
        #expect(report.problem?.kind == .wrongState)
    }

    @Test func `a front that forgets it lets go of it`() throws {
        let starting = Starting()
        do {
            let hold = try starting.hold()
            #expect(hold.isHeld)
        }
        let end = deadline(inSeconds: 5)
        while starting.libvirt.isPaused, monotonicNanoseconds() < end { pauseThread(seconds: 0.01) }
        #expect(starting.libvirt.isRunning)
    }

    @Test func `a domain that is held already is refused, naming the session`() throws {
        let starting = Starting()
        let hold = try starting.hold()
        let error = #expect(throws: GloveboxError.self) { try starting.hold(.strict) }
        #expect(error?.kind == .wrongState)
        #expect(hold.release().isIntact)
    }
}
