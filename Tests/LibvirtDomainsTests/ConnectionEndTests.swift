import Custody
import Foundation
import Glibc
import Linux
import Testing

@testable import LibvirtDomains

/// What a connection leaves behind, and how long one is waited for.
struct ConnectionEndTests {
    /// Whether this process has a descriptor of that name, such as `pipe:[4711]`.
    private func holds(_ name: String) throws -> Bool {
        let files = FileManager.default
        return try files.contentsOfDirectory(atPath: "/proc/self/fd").contains {
            (try? files.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) == name
        }
    }

    private func pipe(of connection: any DomainConnection) throws -> String {
        try FileManager.default.destinationOfSymbolicLink(
            atPath: "/proc/self/fd/\(connection.signal.number)"
        )
    }

    /// The queue of a connection goes with its last callback, and that with the connection itself.
    private func isGone(_ pipe: String) throws -> Bool {
        let end = deadline(inSeconds: 5)
        while try holds(pipe), monotonicNanoseconds() < end { pauseThread(seconds: 0.01) }
        return try !holds(pipe)
    }

    @Test func `a connection that nobody has any more is closed, with all that it had`() throws {
        let host = try LibvirtHost(uri: "test:///default")
        for _ in 0..<5 {
            let name = try pipe(of: host.connect())
            #expect(try isGone(name))
        }
    }

    /// Lets in all who wait at `server`, hangs up, and says how many they were.
    private func clients(of server: FileDescriptor) throws -> Int {
        var count = 0
        while try !waitForAny(of: [(server.number, .readable)], deadline: 0)[0].isEmpty {
            let client = accept(server.number, nil, nil)
            try #require(client >= 0)
            close(client)
            count += 1
        }
        return count
    }

    @Test func `a libvirtd that lets in and does not answer is given up, and finds one client`()
        throws
    {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("gb-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let path = directory.appendingPathComponent("s").path
        var server: FileDescriptor? = try FileDescriptor.listening(at: path)
        let opener = LibvirtOpener("qemu+unix:///system?socket=\(path)", seconds: (0.3, 0.3))
        for _ in 0..<4 {
            let start = monotonicNanoseconds()
            let error = #expect(throws: DomainControlError.self) { try opener.connect() }
            #expect(error?.kind == .connectionLost)
            #expect(monotonicNanoseconds() - start < 3_000_000_000)
        }
        #expect(try clients(of: #require(server)) == 1)

        // Nothing of it is left, as where libvirtd is killed.
        server = nil
        let end = #expect(throws: DomainControlError.self) { try opener.connect() }
        #expect(end?.kind == .connectionLost)
        #expect(end?.message.contains("has not answered") == false)
    }

    @Test func `events that come one by one leave the pipe empty when they are taken`() throws {
        let queue = try EventQueue()
        for round in 0..<200 {
            queue.add(.suspended, of: "a")
            queue.add(.resumed, of: round.isMultiple(of: 2) ? "a" : "b")
            #expect(queue.take("a").count == (round.isMultiple(of: 2) ? 2 : 1))
            #expect(queue.take("a").isEmpty)
        }
        let ready = try waitForAny(of: [(queue.signal.number, .readable)], deadline: 0)
        #expect(ready[0].isEmpty)
    }

    @Test func `what does not fit is told as lost, to every domain`() throws {
        let queue = try EventQueue()
        for _ in 0..<5_000 { queue.add(.resumed, of: "other") }
        queue.add(.suspended, of: "own")
        #expect(queue.take("own") == [.lost])
        queue.add(.suspended, of: "own")
        #expect(queue.take("own") == [.suspended])
    }

    @Test func `a domain that others have for too long is under a job, not without one`() {
        func job(_ kind: DomainControlError.Kind, _ code: Int32) -> DomainJob? {
            DomainJob(unanswered: DomainControlError(kind, code: code, "x"))
        }
        #expect(job(.init(code: 68, origin: 10), 68) == .other, "the lock of its state is held")
        #expect(job(.init(code: 55, origin: 10), 55) == DomainJob.none, "it does not run")
        #expect(job(.init(code: 3, origin: 12), 3) == DomainJob.none, "no such call")
        #expect(job(.init(code: 42, origin: 10), 42) == nil)
        #expect(job(.init(code: 38, origin: 7), 38) == nil)
    }
}
