import Casework
import Custody
import Foundation
import Glovebox
import Linux
import LiveSupport
import Synchronization
import Testing

@testable import GloveboxCommands

/// What embedders and commands get of an instance that is held.
@Suite struct WithInstanceTests {
    /// A domain with one raw disk.
    private final class Bench: Sendable {
        let directory: String
        let facts: DomainFacts
        let held: Held

        init() throws {
            directory = FileManager.default.temporaryDirectory.path + "/glovebox-\(UUID())"
            try FileManager.default.createDirectory(
                atPath: directory,
                withIntermediateDirectories: true
            )
            let disk = directory + "/root.img"
            try Data(repeating: 7, count: 1 << 16).write(to: URL(fileURLWithPath: disk))
            var facts = DomainFacts.sample
            facts.description = """
                <domain type='qemu' id='7'><name>x</name><uuid>\(facts.uuid)</uuid><devices>
                <disk type='file' device='disk'><driver name='qemu' type='raw'/>
                <source file='\(disk)'/><backingStore/><target dev='vda'/></disk>
                </devices></domain>
                """
            self.facts = facts
            var held = Held.sample
            held.facts = facts
            self.held = held
        }

        deinit { try? FileManager.default.removeItem(atPath: directory) }

        func custodian(_ release: Release = .sample) -> FakeCustodian {
            FakeCustodian { [self] teller in
                while true {
                    try teller.serve(held) { if case .find = $0 { true } else { $0 == .release } }
                    if teller.custodian.heard.withLock({ $0.last }) == .release {
                        return try teller.tell(.released(release))
                    }
                    try teller.tell(.domain(facts))
                }
            }
        }

        func options(_ custodian: FakeCustodian) -> Instance.Options {
            var options = Instance.Options()
            options.engine = .native
            options.custodian = custodian
            options.stateDirectory = directory
            return options
        }
    }

    private struct Bad: Error {}

    private static func firstByte(_ instance: Instance) throws -> UInt8? {
        try instance.disks().first?.image.source.bytes(at: 0, count: 1).first
    }

    @Test func `the body reads, and the instance is let go of`() async throws {
        let bench = try Bench()
        let custodian = bench.custodian()
        let byte = try await withInstance("domain:x", for: .read, options: bench.options(custodian))
        { instance in
            #expect(instance.consistency == .suspended)
            return try Self.firstByte(instance)
        }
        #expect(byte == 7)
        #expect(custodian.heard.withLock { $0.last } == .release)
    }

    @Test func `the body's error wins, and what went wrong with letting go is told`() async throws {
        let bench = try Bench()
        let told = Mutex<[GloveboxError]>([])
        var options = bench.options(bench.custodian(.broken))
        options.onUnwindingError = { error in told.withLock { $0.append(error) } }
        await #expect(throws: Bad.self) {
            try await withInstance("domain:x", for: .read, options: options) { instance in
                _ = try Self.firstByte(instance)
                throw Bad()
            }
        }
        #expect(told.withLock { $0 }.map(\.kind) == [.wrongState])
    }

    @Test func `a hold that did not last is thrown where the body succeeded`() async throws {
        let bench = try Bench()
        let options = bench.options(bench.custodian(.broken))
        let error = await #expect(throws: GloveboxError.self) {
            _ = try await withInstance("domain:x", for: .read, options: options) {
                try Self.firstByte($0)
            }
        }
        #expect(error?.kind == .wrongState)
    }

    @Test func `a task that is cancelled lets go, and its reads fail`() async throws {
        let bench = try Bench()
        let custodian = bench.custodian()
        let options = bench.options(custodian)
        let task = Task {
            try await withInstance("domain:x", for: .read, options: options) { instance in
                _ = try Self.firstByte(instance)
                try? await Task.sleep(for: .seconds(30))
                // What cancels does not wait for the release.
                for _ in 0..<500 {
                    _ = try Self.firstByte(instance)
                    pauseThread(seconds: 0.01)
                }
            }
        }
        while !custodian.heard.withLock({ $0.contains(.step(.connected, readers: [])) }) {
            try await Task.sleep(for: .milliseconds(5))
        }
        task.cancel()
        await #expect(throws: (any Error).self) { try await task.value }
        #expect(custodian.heard.withLock { $0.last } == .release)
    }

    @Test func `what is still held comes before the error of a command`() throws {
        let bench = try Bench()
        let custodian = bench.custodian(.broken)
        let instance = try Instance(at: "domain:x", for: .read, options: bench.options(custodian))
        _ = try Self.firstByte(instance)
        let error = HeldInstance.error(
            GloveboxError(.notFound, "not there"),
            after: instance.release()
        )
        #expect((error as? GloveboxError)?.kind == .wrongState)
        #expect(HeldInstance.error(Bad(), after: nil) is Bad)
    }
}
