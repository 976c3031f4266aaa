import Custody
import DiskFormats
import EngineProtocol
import Linux
import LiveSupport
import Synchronization
import Testing

@testable import Casework

/// The front's side of a hold, against custodians that do what they should not.
@Suite struct HoldTests {
    private static let quick: CustodianClient.Patience = {
        var patience = CustodianClient.Patience()
        patience.connect = 2
        patience.find = 2
        patience.hold = 2
        patience.step = 2
        patience.release = 2
        patience.recover = 2
        return patience
    }()

    private func client(_ custodian: FakeCustodian) throws -> CustodianClient {
        try CustodianClient(uri: nil, starting: custodian, patience: Self.quick)
    }

    private func bytes(_ source: any BlockSource) throws(DiskError) -> [UInt8] {
        try source.bytes(at: 0, count: 512)
    }

    @Test func `a hold without trouble tells its steps in order and is intact`() throws {
        let custodian = FakeCustodian { try $0.serve() }
        let client = try client(custodian)
        #expect(client.uri == "test:///default")
        #expect(try client.list() == [.sample])
        #expect(try client.find("instance-0000002a") == .sample)
        let hold = try client.hold(.sample)
        let disk = hold.guarded(MemorySource([UInt8](repeating: 7, count: 4096)), name: "disk vda")
        try hold.connected()
        try hold.mounted()
        try hold.mounted()
        #expect(try bytes(disk) == [UInt8](repeating: 7, count: 512))
        let report = hold.release()
        #expect(report.isIntact)
        #expect(report.problem == nil)
        #expect(report.pausedNanoseconds == 1_500_000)
        #expect(report.ending == "finished")
        #expect(hold.release().session == report.session)
        #expect(throws: DiskError.self) { try bytes(disk) }
        let steps = custodian.heard.withLock { $0.suffix(5) }
        #expect(
            Array(steps) == [
                .step(.connected, readers: []), .step(.mounted, readers: []),
                .step(.unmounted, readers: []), .step(.disconnected, readers: []), .release,
            ]
        )
    }

    @Test
    func `a read that is under way when the hold ends gives nothing, and stop is said after it`()
        throws
    {
        let slow = SlowDisk()
        let custodian = FakeCustodian { teller in
            try teller.serve { $0 == .step(.mounted, readers: []) }
            try teller.tell(.noted)
            slow.waitUntilBegun()
            try teller.tell(.invalidated(.touched("somebody resumed it\u{1B}[2J")))
            #expect(try teller.hear() == .stopped)
            try teller.tell(.released(.broken))
        }
        let hold = try client(custodian).hold(.sample)
        let disk = hold.guarded(slow, name: "disk vda")
        try hold.connected()
        try hold.mounted()
        _ = WorkerThread {
            slow.waitUntilBegun()
            pauseThread(seconds: 0.2)
            // As long as it is under way nobody is told that nothing is read.
            #expect(!custodian.heard.withLock { $0.contains(.stopped) })
            slow.letEnd()
        }
        let error = #expect(throws: DiskError.self) { try bytes(disk) }
        #expect(error?.detail.contains("somebody resumed it") == true)
        #expect(error?.detail.contains("\u{1B}") == false)
        #expect(throws: GloveboxError.self) { try hold.check() }
        let report = hold.release()
        #expect(!report.isIntact)
        #expect(report.problem?.kind == .wrongState)
        #expect(report.ending == "invalidated")
        #expect(!custodian.heard.withLock { $0.contains(.release) })
    }

    @Test func `reads end at the deadline without a word from the custodian`() throws {
        let custodian = FakeCustodian { try $0.serve(Held.sample.ending(inSeconds: 0.15)) }
        let hold = try client(custodian).hold(.sample)
        let disk = hold.guarded(MemorySource([UInt8](repeating: 7, count: 4096)), name: "disk vda")
        _ = try bytes(disk)
        pauseThread(seconds: 0.2)
        let error = #expect(throws: DiskError.self) { try bytes(disk) }
        #expect(error?.detail.contains("120 s") == true)
        let report = hold.release()
        #expect(!report.isIntact)
        #expect(report.problem?.kind == .wrongState)
    }

    @Test func `a read that passes the deadline gives nothing`() throws {
        let slow = SlowDisk()
        let custodian = FakeCustodian { try $0.serve(Held.sample.ending(inSeconds: 0.15)) }
        let hold = try client(custodian).hold(.sample)
        _ = WorkerThread {
            pauseThread(seconds: 0.3)
            slow.letEnd()
        }
        #expect(throws: DiskError.self) { try bytes(hold.guarded(slow, name: "disk vda")) }
    }

    @Test func `where the custodian dies reads end and another takes the session over`() throws {
        let custodian = FakeCustodian(
            { try $0.serve { $0 == .step(.connected, readers: []) } },
            { try $0.serve() }
        )
        let hold = try client(custodian).hold(.sample)
        let disk = hold.guarded(MemorySource([UInt8](repeating: 7, count: 4096)), name: "disk vda")
        #expect(throws: GloveboxError.self) { try hold.connected() }
        #expect(throws: DiskError.self) { try bytes(disk) }
        let report = hold.release()
        #expect(report.problem?.kind == .wrongState)
        #expect(report.ending == "recovered")
        let last = custodian.heard.withLock { $0.suffix(2) }
        #expect(
            Array(last) == [
                .connect(uri: nil),
                .recover(stateDirectory: "/var/lib/glovebox", session: Held.sample.session),
            ]
        )
    }

    @Test(arguments: [RecoveredSession.Outcome.held, .active, .refused])
    func `what cannot be taken over is said to be held`(
        _ outcome: RecoveredSession.Outcome
    ) throws {
        let custodian = FakeCustodian(
            { try $0.serve { $0 == .step(.connected, readers: []) } },
            { teller in
                try teller.serve { if case .recover = $0 { true } else { false } }
                try teller.tell(.recovered([.sample(outcome)]))
                try teller.hear()
            }
        )
        let hold = try client(custodian).hold(.sample)
        try? hold.connected()
        let report = hold.release()
        #expect(report.problem?.kind == .held)
        #expect(report.problem?.advice.contains("glovebox recover") == true)
        #expect(report.ending == "still-held")
    }

    @Test func `where no other custodian can be started it is said to be held`() throws {
        let custodian = FakeCustodian { try $0.serve { $0 == .step(.connected, readers: []) } }
        let hold = try client(custodian).hold(.sample)
        try? hold.connected()
        #expect(hold.release().problem?.kind == .held)
    }

    @Test func `a custodian that died before it was asked to hold leaves nothing`() throws {
        let custodian = FakeCustodian { teller in
            _ = try teller.hear()
            try teller.tell(.connected(uri: "test:///default", versions: "1"))
        }
        let client = try client(custodian)
        pauseThread(seconds: 0.2)
        let error = #expect(throws: GloveboxError.self) { try client.hold(.sample) }
        #expect(error?.kind == .wrongState)
    }

    @Test func `a custodian that dies while it suspends is followed by another`() throws {
        let custodian = FakeCustodian(
            { try $0.serve { if case .hold = $0 { true } else { false } } },
            { try $0.serve() }
        )
        let client = try client(custodian)
        let error = #expect(throws: GloveboxError.self) { try client.hold(.sample) }
        #expect(error?.kind == .wrongState)
        let last = custodian.heard.withLock { $0.last }
        #expect(last == .recover(stateDirectory: "/var/lib/glovebox", session: nil))
    }

    @Test func `an answer that was not asked for ends the hold`() throws {
        let custodian = FakeCustodian(
            { teller in
                try teller.serve { $0 == .step(.connected, readers: []) }
                try teller.tell(.noted)
                try teller.tell(.domains([.sample]))
                try teller.hear()
            },
            { try $0.serve() }
        )
        let hold = try client(custodian).hold(.sample)
        let disk = hold.guarded(MemorySource([UInt8](repeating: 7, count: 4096)), name: "disk vda")
        try hold.connected()
        while hold.isHeld { pauseThread(seconds: 0.01) }
        #expect(throws: DiskError.self) { try bytes(disk) }
        #expect(hold.release().problem?.kind == .wrongState)
    }

    @Test(
        arguments: [
            [0xFF, 0xFF, 0xFF, 0x7F], [1, 0, 0, 0, 99], [40, 0, 0, 0, 1], [0, 0, 0, 0],
        ] as [[UInt8]]
    )
    func `a message that is too long, unknown, torn or empty ends the conversation`(
        _ message: [UInt8]
    ) throws {
        let custodian = FakeCustodian { teller in
            try teller.hear()
            try teller.channel.descriptor.write(message)
        }
        let error = #expect(throws: GloveboxError.self) { try client(custodian) }
        #expect(error?.kind == .wrongState)
    }

    @Test func `no answer in time is an error that says so`() throws {
        let custodian = FakeCustodian { teller in
            try teller.serve { if case .find = $0 { true } else { false } }
            try teller.hear()
        }
        let client = try client(custodian)
        let error = #expect(throws: GloveboxError.self) { try client.find("x") }
        #expect(error?.message.contains("2 s") == true)
    }

    @Test func `a hold that is not answered may be held, and says so`() throws {
        let custodian = FakeCustodian { teller in
            try teller.serve { if case .hold = $0 { true } else { false } }
            try teller.hear()
        }
        let client = try client(custodian)
        let error = #expect(throws: GloveboxError.self) { try client.hold(.sample) }
        #expect(error?.kind == .held)
    }

    @Test func `another run than was asked for is not read`() throws {
        var other = Held.sample
        other.facts.status.id = 8
        let custodian = FakeCustodian { [other] in try $0.serve(other) }
        let client = try client(custodian)
        let error = #expect(throws: GloveboxError.self) { try client.hold(.sample) }
        #expect(error?.kind == .wrongState)
    }

    @Test(arguments: [(3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (99, 5)] as [(UInt8, Int32)])
    func `a refusal keeps its code and its words`(_ code: UInt8, _ exit: Int32) throws {
        let custodian = FakeCustodian { teller in
            try teller.serve { if case .hold = $0 { true } else { false } }
            try teller.tell(.failed(CustodyFailure(code: code, "no\u{7}", advice: "ask")))
            try teller.hear()
        }
        let client = try client(custodian)
        let error = #expect(throws: GloveboxError.self) { try client.hold(.sample) }
        #expect(error?.kind.rawValue == exit)
        #expect(error?.message == "no\\x07.")
    }

    @Test func `a resume that takes too long is said to be held`() throws {
        let custodian = FakeCustodian { teller in
            try teller.serve { $0 == .release }
            try teller.hear()
        }
        let hold = try client(custodian).hold(.sample)
        let report = hold.release()
        #expect(report.problem?.kind == .held)
        #expect(!report.isIntact)
    }

    @Test func `the end of the value is the end of the conversation`() throws {
        let ended = CancellationFlag()
        let custodian = FakeCustodian { teller in
            try teller.serve { if case .hold = $0 { true } else { false } }
            try teller.tell(.held(.sample))
            _ = try? teller.hear()
            ended.set()
        }
        do {
            let hold = try client(custodian).hold(.sample)
            #expect(hold.isHeld)
        }
        let end = deadline(inSeconds: 5)
        while !ended.isSet, monotonicNanoseconds() < end {
            pauseThread(seconds: 0.01)
        }
        #expect(ended.isSet)
    }
}
