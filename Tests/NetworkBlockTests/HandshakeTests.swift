import DiskFormats
import Linux
import Testing

@testable import NetworkBlock

/// Servers that cannot be agreed with are refused with a sentence.
@Suite struct HandshakeTests {
    /// What is said at first, what the error says, and of which kind it is.
    private static let refused:
        [(@Sendable (inout CannedServer) -> Void, String, DiskError.Reason)] = [
            ({ $0.bytes += Array("SSH-2.0-somebody else".utf8) }, "no NBD server", .unreadable),
            (
                {
                    $0.add(0x4E42_444D_4147_4943 as UInt64, 0x0000_4202_8186_1253 as UInt64)
                    $0.add(0 as UInt64)
                }, "oldstyle", .unsupported
            ),
            ({ $0.greet(flags: 2) }, "fixed newstyle", .unsupported),
            (
                {
                    $0.greet(); $0.answer(8, 0x8000_0005)
                }, "TLS", .unsupported
            ),
            (
                {
                    started(&$0); $0.answer(7, 0x8000_0005)
                }, "TLS", .unsupported
            ),
            (
                {
                    started(&$0); $0.answer(7, 0x8000_0001)
                }, "NBD_OPT_GO", .unsupported
            ),
            (
                {
                    started(&$0); $0.answer(7, 0x8000_0006, Array("no\u{7}ne".utf8))
                },
                "no export “vda”: no\\x07ne", .unreadable
            ),
            (
                {
                    started(&$0); $0.answer(7, 0x8000_0007)
                }, "shutting down", .unreadable
            ),
            (
                {
                    started(&$0); $0.answer(7, 0x8000_0063)
                }, "error 99", .unreadable
            ),
            (
                {
                    started(&$0); $0.answer(7, 1)
                }, "how large", .unreadable
            ),
            (
                {
                    started(&$0); $0.answer(7, 2)
                }, "type 2", .unreadable
            ),
            (
                {
                    started(&$0); $0.answer(8, 1)
                }, "not asked for", .unreadable
            ),
            (
                {
                    started(&$0); $0.describe(byteCount: 1); $0.answer(7, 1, [0])
                }, "yes", .unreadable
            ),
            (
                {
                    started(&$0); $0.describe(byteCount: 1); $0.describe(byteCount: 1)
                }, "twice",
                .unreadable
            ),
            (
                {
                    started(&$0); $0.answer(7, 3, [0, 0, 1])
                }, "no known form", .unreadable
            ),
            (
                {
                    started(&$0); $0.answer(7, 3, [0])
                }, "too short", .unreadable
            ),
            (
                {
                    started(&$0); $0.describe(byteCount: 1 << 63); $0.answer(7, 1)
                }, "no sense",
                .unreadable
            ),
            ({ sized(&$0, 3, 4_096) }, "no sense", .unreadable),
            ({ sized(&$0, 0, 4_096) }, "no sense", .unreadable),
            ({ sized(&$0, 131_072, 1 << 20) }, "no sense", .unreadable),
            ({ sized(&$0, 4_096, 512) }, "no sense", .unreadable),
            ({ sized(&$0, 8_192, 1 << 20) }, "no sense", .unreadable),
            (
                { server in
                    started(&server); for _ in 0..<100 { server.answer(7, 3, [0, 9]) }
                },
                "come to an end", .unreadable
            ),
            (
                {
                    started(&$0)
                    $0.add(0x0003_E889_0455_65A9 as UInt64, 7 as UInt32, 3 as UInt32, UInt32.max)
                }, "announces", .unreadable
            ),
        ]

    private static func started(_ server: inout CannedServer) {
        server.greet()
        server.answer(8, 0x8000_0001)
    }

    private static func sized(_ server: inout CannedServer, _ least: UInt32, _ most: UInt32) {
        started(&server)
        server.describe(byteCount: 4_096, sizes: (least, most))
        server.answer(7, 1)
    }

    private static func connect(
        _ server: CannedServer,
        export: String = "vda"
    ) throws -> ExportFacts? {
        var facts: ExportFacts?
        _ = try server.speak { client in
            facts = try Connection(
                client,
                export: export,
                deadline: deadline(inSeconds: 5),
                timeoutSeconds: 5
            ).facts
        }
        return facts
    }

    @Test(arguments: refused.indices)
    func `a server that cannot be agreed with is refused, and why is said`(_ index: Int) throws {
        let (speech, expected, reason) = Self.refused[index]
        var server = CannedServer()
        speech(&server)
        let error = #expect(throws: ConversationError.self) { _ = try Self.connect(server) }
        #expect(error?.message.contains(expected) == true, "\(error?.message ?? "")")
        #expect(error?.reason == reason && error?.endsConversation == true)
    }

    @Test func `a server that says little is taken at the protocol's word`() throws {
        var server = CannedServer()
        Self.started(&server)
        server.answer(7, 3, [0, 9, 1, 2, 3])
        server.describe(byteCount: 12_345, sizes: nil)
        server.answer(7, 1)
        let facts = try #require(try Self.connect(server))
        #expect(facts.byteCount == 12_345 && facts.alignment == 1)
        #expect(!facts.hasStructuredReplies && !facts.tellsAllocation)
        #expect(facts.requestBytes <= 32 << 20 && facts.isReadOnly)
    }

    @Test func `contexts that were not asked for are passed over`() throws {
        var server = CannedServer()
        server.greet()
        server.answer(8, 1)
        server.answer(10, 4, [0, 0, 0, 1] + Array("other:context".utf8))
        server.answer(10, 1)
        server.describe(byteCount: 512)
        server.answer(7, 1)
        let facts = try #require(try Self.connect(server))
        #expect(facts.hasStructuredReplies && !facts.tellsAllocation)
    }

    @Test func `a name that no export can have is not sent`() {
        for name in [String(repeating: "x", count: 4_097), "a\0b"] {
            #expect(throws: ConversationError.self) {
                _ = try Self.connect(.ready(byteCount: 512), export: name)
            }
        }
    }
}
