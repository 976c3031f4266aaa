import DiskFormats
import Foundation
import TestSupport
import Testing

@testable import NBDClient

/// What servers that break the protocol can do to us: nothing but fail, and in time.
@Suite struct NBDHostileTests {
    static let content = NBDSourceTests.content(11, count: 262_144)
    static let options = NBDSource.Options(timeoutSeconds: 1, connectionsMax: 2)

    /// Runs `body`, and expects it to end in a few seconds, whatever the server does.
    static func inTime<Value>(_ body: () throws -> Value) rethrows -> Value {
        let start = Date()
        defer { #expect(Date().timeIntervalSince(start) < 8) }
        return try body()
    }

    static func open(_ server: NBDServer) throws(DiskError) -> NBDSource {
        try NBDSource(socket: server.socket, name: "disk", options: options)
    }

    @Test(arguments: [
        "garbage", "silent", "closes", "stops-in-handshake", "endless-options", "negative-size",
    ])
    func `a handshake that leads nowhere is refused`(_ mode: String) throws {
        let server = try NBDServer.hostile(mode, Self.content)
        let error = Self.inTime {
            #expect(throws: DiskError.self) { try Self.open(server) }
        }
        #expect(error?.reason == .unreadable && error?.structure == "disk")
    }

    @Test(arguments: [
        "dies", "hangs", "wrong-cookie", "nonsense", "error", "half-then-error", "half", "nothing",
        "half-twice", "elsewhere", "too-much", "half-then-gone", "drips", "endless-chunks",
    ])
    func `an answer that is not whole is an error`(_ mode: String) throws {
        let server = try NBDServer.hostile(mode, Self.content)
        let source = try Self.open(server)
        for _ in 0..<2 {
            let error = Self.inTime {
                #expect(throws: DiskError.self) { try source.bytes(at: 4_096, count: 8_192) }
            }
            #expect(error?.reason == .unreadable && error?.structure == "disk")
        }
    }

    // libnbd takes block sizes that make no sense for none.
    @Test(arguments: ["none", "simple", "blocks", "odd-blocks", "no-blocks"])
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

    @Test(arguments: ["no-extent", "empty-extent", "long-extent", "deep-extent"])
    func `extents that make no sense break no promise`(_ mode: String) throws {
        let server = try NBDServer.hostile(mode, Self.content)
        let source = try Self.open(server)
        for (offset, limit) in [(UInt64(0), UInt64.max), (100_000, 5), (262_143, 9)] {
            guard let run = try? source.run(at: offset, limit: limit) else { continue }
            #expect((1...limit).contains(run.length) && run.length <= 262_144 - offset)
        }
        #expect(try source.bytes(at: 0, count: 10) == Array(Self.content[..<10]))
    }

    @Test func `a connection that owes an answer is used for nothing else`() throws {
        let server = try NBDServer.hostile("late", Self.content)
        let source = try Self.open(server)
        #expect(throws: DiskError.self) { try source.bytes(at: 0, count: 8_192) }
        #expect(try source.bytes(at: 4_096, count: 8_192) == Array(Self.content[4_096..<12_288]))
    }

    @Test func `a server that is killed is an error for every reader, and soon`() throws {
        let server = try NBDServer.qemu(Self.content)
        let source = try Self.open(server)
        #expect(try source.bytes(at: 0, count: 512) == Array(Self.content[..<512]))
        server.kill()
        Self.inTime {
            concurrently(4) { _ in
                #expect(throws: DiskError.self) { try source.bytes(at: 0, count: 512) }
            }
        }
    }
}
