import Foundation
import Linux
import Testing

/// Nothing on a socket takes longer than until its deadline.
@Suite struct StreamSocketTests {
    private static func pair() throws -> (FileDescriptor, FileDescriptor) {
        let path = FileManager.default.temporaryDirectory.path + "/glovebox-pair-\(UUID())"
        let server = try FileDescriptor.listening(at: path)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let client = try FileDescriptor.connected(to: path, deadline: deadline(inSeconds: 5))
        let number = accept(server.number, nil, nil)
        return (client, FileDescriptor(adopting: number, path: "accepted"))
    }

    @Test func `a flood that never pauses ends at the deadline all the same`() throws {
        let (client, peer) = try Self.pair()
        Thread.detachNewThread {
            let piece = [UInt8](repeating: 7, count: 65_536)
            let end = deadline(inSeconds: 10)
            while (try? peer.send(piece, deadline: end)) != nil {}
        }
        let start = Date()
        let error = #expect(throws: SystemError.self) {
            _ = try client.receive(count: 256 << 20, deadline: deadline(inSeconds: 0.05))
        }
        #expect(error?.name == "ETIMEDOUT" && Date().timeIntervalSince(start) < 5)
        try client.close()
    }

    @Test func `a peer that takes nothing, one that says nothing and one that has gone`() throws {
        let (client, peer) = try Self.pair()
        let soon = { deadline(inSeconds: 0.1) }
        func failure(_ body: () throws -> Void) -> String? {
            #expect(throws: SystemError.self, performing: body)?.name
        }
        #expect(failure { _ = try client.receive(count: 1, deadline: soon()) } == "ETIMEDOUT")
        let much = [UInt8](repeating: 1, count: 8 << 20)
        #expect(failure { try client.send(much, deadline: soon()) } == "ETIMEDOUT")
        try peer.close()
        #expect(failure { try client.send([1], deadline: soon()) } == "EPIPE")
        #expect(failure { _ = try client.receive(count: 1, deadline: soon()) } == "ECONNRESET")
    }
}
