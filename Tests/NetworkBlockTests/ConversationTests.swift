import Foundation
import Linux
import TestSupport
import Testing

@testable import NetworkBlock

/// What may be said in a conversation, byte by byte.
@Suite struct ConversationTests {
    private static let byteCount: UInt64 = 65_536
    private static let content: [UInt8] = {
        var random = Repeatable(state: 21)
        return random.bytes(300) + [UInt8](repeating: 0, count: 100) + random.bytes(112)
    }()

    /// A reply in each form that a read's may have.
    enum Form: CaseIterable { case simple, whole, pieces, end }

    private static func server(_ form: Form) -> CannedServer {
        var server = CannedServer.ready(byteCount: byteCount, structured: form != .simple)
        switch form {
        case .simple:
            server.reply(content)
        case .whole:
            server.data(content, at: 4_096, last: true)
        case .pieces:
            server.data(Array(content[400...]), at: 4_496)
            server.hole(100, at: 4_396)
            server.data(Array(content[..<10]), at: 4_096)
            server.data(Array(content[10..<300]), at: 4_106, last: true)
        case .end:
            server.data(content, at: 4_096)
            server.chunk(0, last: true)
        }
        return server
    }

    @Test(arguments: Form.allCases) func `a reply is read in every form`(_ form: Form) throws {
        #expect(try Self.server(form).read(512, at: 4_096) == [Self.content])
    }

    @Test(arguments: Form.allCases)
    func `every truncation throws and none traps`(_ form: Form) throws {
        let whole = Self.server(form)
        for count in 0..<whole.bytes.count {
            var cut = whole
            cut.bytes = Array(whole.bytes.prefix(count))
            #expect(throws: ConversationError.self) { _ = try cut.read(512, at: 4_096) }
        }
    }

    @Test(arguments: Form.allCases)
    func `a byte that is changed is noticed, or changes nothing`(_ form: Form) throws {
        let whole = Self.server(form)
        var failures = 0
        for index in whole.bytes.indices
        where !whole.dataRanges.contains(where: { $0.contains(index) }) {
            for change in [0x01, 0x02, 0x10, 0x80, 0xFF] as [UInt8] {
                var changed = whole
                changed.bytes[index] ^= change
                do {
                    #expect(try changed.read(512, at: 4_096) == [Self.content])
                } catch is ConversationError {
                    failures += 1
                }
            }
        }
        #expect(failures > 100)
    }

    @Test func `random bytes in place of a server's never trap`() throws {
        var random = Repeatable(state: 22)
        for round in 0..<2_000 {
            var server = Self.server(Form.allCases[round % 4])
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let index = Int.random(in: 18..<server.bytes.count, using: &random)
                if server.dataRanges.contains(where: { $0.contains(index) }) { continue }
                server.bytes[index] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0
            }
            if let read = try? server.read(512, at: 4_096) { #expect(read == [Self.content]) }
        }
    }

    /// Replies that break the protocol, each in its own way.
    private static let violations: [(String, @Sendable (inout CannedServer) -> Void)] = [
        ("a simple reply", { $0.reply(content) }),
        ("another cookie", { $0.data(content, at: 4_096, last: true, cookie: 2) }),
        ("nothing", { $0.chunk(0, last: true) }),
        (
            "an end that is none",
            {
                $0.chunk(0); $0.data(content, at: 4_096, last: true)
            }
        ),
        ("an end with bytes", { $0.chunk(0, last: true, [1]) }),
        ("a half", { $0.data(Array(content[..<256]), at: 4_096, last: true) }),
        (
            "a half twice",
            {
                $0.data(Array(content[..<256]), at: 4_096)
                $0.data(Array(content[..<256]), at: 4_096, last: true)
            }
        ),
        (
            "an overlap",
            {
                $0.data(content, at: 4_096); $0.hole(1, at: 4_607); $0.chunk(0, last: true)
            }
        ),
        (
            "an overlap from before",
            {
                $0.hole(100, at: 4_200); $0.hole(200, at: 4_096); $0.chunk(0, last: true)
            }
        ),
        ("bytes before", { $0.data(content, at: 4_095, last: true) }),
        ("bytes after", { $0.data(content + [1], at: 4_096, last: true) }),
        ("bytes at the end of all numbers", { $0.hole(512, at: UInt64.max - 100, last: true) }),
        (
            "an empty hole",
            {
                $0.hole(0, at: 4_096); $0.data(content, at: 4_096, last: true)
            }
        ),
        ("a hole for all", { $0.hole(UInt32.max, at: 4_096, last: true) }),
        (
            "empty data",
            {
                $0.data([], at: 4_096); $0.data(content, at: 4_096, last: true)
            }
        ),
        ("a block status", { $0.chunk(5, last: true, [UInt8](repeating: 0, count: 12)) }),
        ("an unknown chunk", { $0.chunk(77, last: true) }),
        ("an error that is none", { $0.error(0, last: true) }),
        ("an error that is too short", { $0.chunk(0x8001, last: true, [0, 0, 0, 5]) }),
        (
            "an error with a text past its end",
            { $0.chunk(0x8001, last: true, [0, 0, 0, 5, 0, 9]) }
        ),
        (
            "errors without end",
            { server in for _ in 0..<100 { server.error(5) } }
        ),
        (
            "an announced length of 4 GiB",
            { $0.add(0x668E_33EF as UInt32, 0x1_8001 as UInt32, 1 as UInt64, UInt32.max) }
        ),
        (
            "data of 4 GiB",
            {
                $0.add(0x668E_33EF as UInt32, 0x1_0001 as UInt32, 1 as UInt64)
                $0.add(UInt32.max, 4_096 as UInt64)
            }
        ),
    ]

    @Test(arguments: violations.indices)
    func `a reply that breaks the protocol ends the conversation`(_ index: Int) throws {
        let (name, reply) = Self.violations[index]
        var server = CannedServer.ready(byteCount: Self.byteCount)
        reply(&server)
        let error = #expect(throws: ConversationError.self, "\(name)") {
            _ = try server.read(512, at: 4_096)
        }
        #expect(error?.endsConversation == true, "\(name)")
        // A server that ends says so only where nothing else was wrong.
        #expect(error?.message.contains("ended") == false, "\(name): \(error?.message ?? "")")
    }

    @Test func `an error that is reported leaves the conversation whole`() throws {
        var server = CannedServer.ready(byteCount: Self.byteCount)
        server.data(Array(Self.content[..<100]), at: 4_096)
        server.error(5, "bad \u{1B}[2Jsector")
        server.data(Array(Self.content[100...]), at: 4_196, last: true)
        server.error(108, last: true, cookie: 2)
        server.reply(error: 22, cookie: 3)
        server.data(Self.content, at: 4_096, last: true, cookie: 4)
        let bytes = server
        _ = try bytes.speak { client in
            var connection = try Connection(
                client,
                export: "",
                deadline: deadline(inSeconds: 5),
                timeoutSeconds: 5
            )
            var bytes = [UInt8](repeating: 0, count: 512)
            var span = bytes.mutableSpan
            var raw = unsafe span.mutableBytes
            for expected in ["EIO: bad \\x1b[2Jsector", "ESHUTDOWN", "EINVAL"] {
                do throws(ConversationError) {
                    try connection.read(into: &raw, at: 4_096)
                    Issue.record("no error")
                } catch {
                    #expect(!error.endsConversation && error.message.hasSuffix(expected))
                }
            }
            try connection.read(into: &raw, at: 4_096)
            #expect(bytes == Self.content)
        }
    }

    @Test func `nothing but reads, block states and the farewell is sent`() throws {
        var server = CannedServer.ready(byteCount: Self.byteCount)
        server.data(Self.content, at: 4_096, last: true)
        var status = CannedServer()
        status.add(7 as UInt32, 1_000 as UInt32, 3 as UInt32)
        server.chunk(5, last: true, cookie: 2, status.bytes)
        let heard = try server.speak { client in
            var connection = try Connection(
                client,
                export: "vda",
                deadline: deadline(inSeconds: 5),
                timeoutSeconds: 5
            )
            var bytes = [UInt8](repeating: 0, count: 512)
            var span = bytes.mutableSpan
            var raw = unsafe span.mutableBytes
            try connection.read(into: &raw, at: 4_096)
            let extent = try connection.extent(at: 8_192, count: 4_096)
            #expect(extent == (1_000, true))
            connection.disconnect()
        }
        var expected = CannedServer()
        expected.add(3 as UInt32)
        let option = 0x4948_4156_454F_5054 as UInt64
        expected.add(option, 8 as UInt32, 0 as UInt32)
        expected.add(option, 10 as UInt32, 30 as UInt32, 3 as UInt32)
        expected.bytes += Array("vda".utf8)
        expected.add(1 as UInt32, 15 as UInt32)
        expected.bytes += Array("base:allocation".utf8)
        expected.add(option, 7 as UInt32, 11 as UInt32, 3 as UInt32)
        expected.bytes += Array("vda".utf8)
        expected.add(1 as UInt16, 3 as UInt16)
        let magic = 0x2560_9513 as UInt32
        expected.add(magic, 0 as UInt32, 1 as UInt64, 4_096 as UInt64, 512 as UInt32)
        expected.add(magic, 0x8_0007 as UInt32, 2 as UInt64, 8_192 as UInt64, 4_096 as UInt32)
        expected.add(magic, 2 as UInt32, 3 as UInt64, 0 as UInt64, 0 as UInt32)
        #expect(heard == expected.bytes)
    }
}
