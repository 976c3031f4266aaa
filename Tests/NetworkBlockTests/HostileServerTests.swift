import DiskFormats
import Foundation
import Linux
import TestSupport
import Testing

@testable import NetworkBlock

/// What servers that break the protocol can do to us: nothing but fail, and in time.
@Suite struct HostileServerTests {
    private static let content = NetworkBlockSourceTests.content(11, count: 262_144)

    /// Runs `body`, and expects it to end in a few seconds, whatever the server does.
    private static func inTime<Value>(_ body: () throws -> Value) rethrows -> Value {
        let start = Date()
        defer { #expect(Date().timeIntervalSince(start) < 8) }
        return try body()
    }

    private static func open(_ server: NBDServer) throws(DiskError) -> NetworkBlockSource {
        try NetworkBlockSourceTests.open(
            server,
            options: .init(timeoutSeconds: 1, connectionsMax: 2)
        )
    }

    @Test(arguments: [
        "garbage", "silent", "closes", "stops-in-handshake", "endless-options", "negative-size",
        "odd-blocks", "no-blocks", "demands-tls",
    ])
    func `a handshake that leads nowhere is refused`(_ mode: String) throws {
        let server = try NBDServer.hostile(mode, Self.content)
        let error = Self.inTime {
            #expect(throws: DiskError.self) { try Self.open(server) }
        }
        #expect(error?.structure == "disk")
        #expect(error?.reason == (mode == "demands-tls" ? .unsupported : .unreadable))
    }

    @Test func `nobody at the socket is an error, and a path that is none`() {
        let missing = FileManager.default.temporaryDirectory.path + "/glovebox-no-\(UUID())"
        for path in [missing, "", "/dev/null", String(repeating: "x", count: 200), "a\0b"] {
            let error = #expect(throws: DiskError.self) {
                try NetworkBlockSource(socket: path, export: "", name: "disk")
            }
            #expect(error?.reason == .unreadable, "\(path)")
        }
    }

    @Test func `a server that takes no connections from its queue is not waited for`() throws {
        let path = FileManager.default.temporaryDirectory.path + "/glovebox-queue-\(UUID())"
        let server = try FileDescriptor.listening(at: path)
        defer { try? FileManager.default.removeItem(atPath: path) }
        var queued: [FileDescriptor] = []
        while queued.count < 1_000,
            let next = try? FileDescriptor.connected(to: path, deadline: 0)
        {
            queued.append(next)
        }
        #expect((1..<1_000).contains(queued.count))
        let error = Self.inTime {
            #expect(throws: SystemError.self) {
                try FileDescriptor.connected(to: path, deadline: deadline(inSeconds: 0.5))
            }
        }
        #expect(error?.name == "ETIMEDOUT")
        withExtendedLifetime(server) {}
    }

    @Test(arguments: [
        "dies", "hangs", "wrong-cookie", "nonsense", "half-then-error", "half", "nothing", "error",
        "half-twice", "elsewhere", "too-much", "half-then-gone", "drips", "endless-chunks",
    ])
    func `an answer that is not whole is an error`(_ mode: String) throws {
        let server = try NBDServer.hostile(mode, Self.content)
        let source = try Self.open(server)
        for attempt in 0..<2 {
            let error = Self.inTime {
                #expect(throws: DiskError.self) { try source.bytes(at: 4_096, count: 8_192) }
            }
            #expect(error?.reason == .unreadable && error?.structure == "disk")
            let isOver = error?.detail.contains("since the server failed") == true
            // Only what the server reports, as the protocol has it, concerns one read alone.
            #expect(isOver == (attempt == 1 && !mode.hasSuffix("error")), "\(mode)")
        }
    }

    @Test(arguments: ["none", "simple", "blocks"])
    func `the same server without a fault is read`(_ mode: String) throws {
        let server = try NBDServer.hostile(mode, Self.content)
        let source = try Self.open(server)
        #expect(
            BlockSourceConformance(source, content: Self.content, seed: 12).violations() == []
        )
    }

    @Test func `what a server claims to have and has not is an error`() throws {
        let server = try NBDServer.hostile("claims-more", Self.content)
        let source = try Self.open(server)
        #expect(source.byteCount == UInt64(Self.content.count + 1 << 20))
        #expect(try source.bytes(at: 0, count: Self.content.count) == Self.content)
        #expect(throws: DiskError.self) {
            try source.bytes(at: UInt64(Self.content.count - 1), count: 2)
        }
        let huge = try Self.open(try NBDServer.hostile("huge-size", Self.content))
        #expect(throws: DiskError.self) { try huge.bytes(at: huge.byteCount - 1, count: 1) }
        #expect(throws: DiskError.self) { try huge.bytes(at: UInt64.max - 1, count: 2) }
    }

    @Test func `a second connection to something else ends it all`() throws {
        let server = try NBDServer.hostile("other-size", Self.content)
        let source = try Self.open(server)
        let failures = FailureCount()
        Self.inTime {
            concurrently(8) { _ in
                for _ in 0..<200 {
                    do throws(DiskError) {
                        let bytes = try source.bytes(at: 4_096, count: 8_192)
                        #expect(bytes.elementsEqual(Self.content[4_096..<12_288]))
                    } catch {
                        #expect(error.reason == .inconsistent)
                        failures.add()
                    }
                }
            }
        }
        #expect(failures.count > 0)
    }

    @Test(arguments: ["no-extent", "empty-extent", "long-extent", "deep-extent"])
    func `extents that make no sense break no promise`(_ mode: String) throws {
        let server = try NBDServer.hostile(mode, Self.content)
        for (offset, limit) in [(UInt64(0), UInt64.max), (100_000, 5), (262_143, 9)] {
            let source = try Self.open(server)
            guard let run = try? source.run(at: offset, limit: limit) else { continue }
            #expect((1...limit).contains(run.length) && run.length <= 262_144 - offset)
            #expect(try source.bytes(at: 0, count: 10) == Array(Self.content[..<10]))
        }
    }

    @Test func `after a time-out nothing is read, though the server has come round`() throws {
        let server = try NBDServer.hostile("late", Self.content)
        let source = try Self.open(server)
        let start = Date()
        #expect(throws: DiskError.self) { try source.bytes(at: 0, count: 8_192) }
        #expect(Date().timeIntervalSince(start) < 2)
        let error = #expect(throws: DiskError.self) { try source.bytes(at: 4_096, count: 8_192) }
        #expect(error?.detail.contains("in time") == true)
    }

    @Test func `readers who wait for a turn at a server that hangs fail with the first`() throws {
        let server = try NBDServer.hostile("hangs", Self.content)
        let source = try Self.open(server)
        Self.inTime {
            concurrently(16) { _ in
                #expect(throws: DiskError.self) { try source.bytes(at: 0, count: 512) }
            }
        }
    }

    @Test(.enabled(if: NBDServer.hasQEMU, "qemu-utils is not installed"))
    func `a server that is killed is an error for every reader, and soon`() throws {
        let server = try NBDServer.qemu(Self.content)
        let source = try Self.open(server)
        let failures = FailureCount()
        Thread.detachNewThread {
            usleep(200_000)
            server.kill()
        }
        Self.inTime {
            concurrently(4) { _ in
                while let bytes = try? source.bytes(at: 0, count: 100_000) {
                    #expect(bytes.elementsEqual(Self.content[..<100_000]))
                }
                failures.add()
            }
        }
        #expect(failures.count == 4)
        #expect(throws: DiskError.self) { try source.bytes(at: 0, count: 1) }
    }
}
