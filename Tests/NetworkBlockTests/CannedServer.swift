import Foundation
import Linux

@testable import NetworkBlock

/// What a server says, written down in advance: each conversation takes no process and no time.
struct CannedServer {
    /// Bytes in the order of their sending.
    var bytes: [UInt8] = []
    /// Where data stands in them: every other byte matters to the protocol.
    private(set) var dataRanges: [Range<Int>] = []

    mutating func add(_ values: any (FixedWidthInteger & UnsignedInteger)...) {
        for value in values { bytes.append(be: value) }
    }

    mutating func greet(flags: UInt16 = 3) {
        bytes += Array("NBDMAGICIHAVEOPT".utf8)
        add(flags)
    }

    mutating func answer(_ option: UInt32, _ type: UInt32, _ data: [UInt8] = []) {
        add(0x0003_E889_0455_65A9 as UInt64, option, type, UInt32(data.count))
        bytes += data
    }

    mutating func describe(byteCount: UInt64, sizes: (UInt32, UInt32)? = (1, 1 << 20)) {
        var export = CannedServer()
        export.add(0 as UInt16, byteCount, 0x0183 as UInt16)
        answer(7, 3, export.bytes)
        guard let sizes else { return }
        var block = CannedServer()
        block.add(3 as UInt16, sizes.0, 4_096 as UInt32, sizes.1)
        answer(7, 3, block.bytes)
    }

    /// A whole handshake.
    static func ready(byteCount: UInt64, structured: Bool = true) -> CannedServer {
        var server = CannedServer()
        server.greet()
        server.answer(8, structured ? 1 : 0x8000_0001)
        if structured {
            var context = CannedServer()
            context.add(7 as UInt32)
            server.answer(10, 4, context.bytes + Array("base:allocation".utf8))
            server.answer(10, 1)
        }
        server.describe(byteCount: byteCount)
        server.answer(7, 1)
        return server
    }

    mutating func reply(_ data: [UInt8] = [], error: UInt32 = 0, cookie: UInt64 = 1) {
        add(0x6744_6698 as UInt32, error, cookie)
        addData(data)
    }

    mutating func chunk(
        _ type: UInt16,
        last: Bool = false,
        cookie: UInt64 = 1,
        _ payload: [UInt8] = []
    ) {
        add(0x668E_33EF as UInt32, (last ? 1 : 0) as UInt16, type, cookie, UInt32(payload.count))
        bytes += payload
    }

    mutating func data(
        _ content: [UInt8],
        at offset: UInt64,
        last: Bool = false,
        cookie: UInt64 = 1
    ) {
        add(0x668E_33EF as UInt32, (last ? 1 : 0) as UInt16, 1 as UInt16, cookie)
        add(UInt32(content.count + 8), offset)
        addData(content)
    }

    mutating func hole(_ count: UInt32, at offset: UInt64, last: Bool = false) {
        var payload = CannedServer()
        payload.add(offset, count)
        chunk(2, last: last, payload.bytes)
    }

    mutating func error(
        _ number: UInt32,
        _ text: String = "",
        last: Bool = false,
        cookie: UInt64 = 1
    ) {
        var payload = CannedServer()
        payload.add(number, UInt16(text.utf8.count))
        chunk(0x8001, last: last, cookie: cookie, payload.bytes + Array(text.utf8))
    }

    private mutating func addData(_ content: [UInt8]) {
        dataRanges.append(bytes.count..<(bytes.count + content.count))
        bytes += content
    }

    /// Says it all at once, and then nothing more, to `body`; returns what was said to it.
    func speak(_ body: (FileDescriptor) throws -> Void) throws -> [UInt8] {
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue)
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw CocoaError(.featureUnsupported)
        }
        let server = FileDescriptor(adopting: ends[0], path: "server")
        let client = FileDescriptor(adopting: ends[1], path: "client")
        try server.send(bytes, deadline: 0)
        shutdown(server.number, CInt(SHUT_WR))
        try body(client)
        shutdown(client.number, CInt(SHUT_WR))
        var heard: [UInt8] = []
        while case let piece = try server.readSome(65_536), !piece.isEmpty { heard += piece }
        return heard
    }

    /// Reads `count` bytes at `offset`, as many times as it is told.
    func read(_ count: Int, at offset: UInt64, times: Int = 1) throws -> [[UInt8]] {
        var answers: [[UInt8]] = []
        _ = try speak { client in
            var connection = try Connection(
                client,
                export: "vda",
                deadline: deadline(inSeconds: 5),
                timeoutSeconds: 5
            )
            for _ in 0..<times {
                var bytes = [UInt8](repeating: 0xEE, count: count)
                var span = bytes.mutableSpan
                var raw = unsafe span.mutableBytes
                try connection.read(into: &raw, at: offset)
                answers.append(bytes)
            }
        }
        return answers
    }
}
