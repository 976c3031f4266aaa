import Custody
import Foundation
import LibvirtDomains
import Linux
import Testing

/// libvirt's driver for tests with domains of our own (`test:///PATH`): each connection has its own.
struct NamedDomainsTests {
    private static let uuids = (1...5).map { "6f1c2d3e-0000-4000-8000-00000000000\($0)" }

    /// What is there: running with the ids 1 and 2, one that bears the number of the first, one that
    /// bears its own, and one that is shut off and called as another's uuid.
    private static var host: String {
        let names = [("first", 1), ("2", 1), ("1", 5), (uuids[0].uppercased(), 5), ("paused", 3)]
        let domains = zip(names, uuids).map { name, uuid in
            """
            <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
            <name>\(name.0)</name><uuid>\(uuid)</uuid><memory>8192</memory>
            <os><type>hvm</type></os><test:runstate>\(name.1)</test:runstate></domain>
            """
        }
        return "<node>\(domains.joined())</node>"
    }

    private func withHost(_ body: (any DomainConnection) throws -> Void) throws {
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("gb-\(UUID().uuidString).xml")
        try Data(Self.host.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        try body(try LibvirtHost(uri: "test://\(file.path)").connect())
    }

    @Test func `a number that is one domain's id and another's name is refused, naming both`()
        throws
    {
        try withHost { connection in
            let first = try connection.domain(named: "first")
            #expect(try first.status().id == 1)
            let error = #expect(throws: DomainControlError.self) {
                try connection.domain(named: "1")
            }
            #expect(error?.kind == .usage)
            #expect(error?.message.contains(Self.uuids[0]) == true)
            #expect(error?.message.contains(Self.uuids[2]) == true)
        }
    }

    @Test func `a number that is a domain's id and its own name, too, is that domain`() throws {
        try withHost { connection in
            let second = try connection.domain(named: "2")
            #expect(second.uuid == Self.uuids[1])
            #expect(try second.status().id == 2)
        }
    }

    @Test func `a uuid is that of a domain before it is a name`() throws {
        try withHost { connection in
            for uuid in [Self.uuids[0], Self.uuids[0].uppercased()] {
                let domain = try connection.domain(named: uuid)
                #expect(domain.name == "first")
            }
            let compact = Self.uuids[0].replacingOccurrences(of: "-", with: "")
            #expect(throws: DomainControlError.self) { try connection.domain(named: compact) }
        }
    }

    @Test func `all domains are listed, whether they run or not`() throws {
        try withHost { connection in
            let domains = try connection.domains()
            #expect(Set(domains.map(\.uuid)) == Set(Self.uuids))
            let off = try connection.domain(named: Self.uuids[2]).status()
            #expect(off.id == nil && off.state == .shutOff && off.job == .none)
            let paused = try connection.domain(named: "paused").status()
            #expect(paused.id == 3 && paused.state == .paused)
        }
    }

    @Test func `what libvirt refuses carries its number, its words and the call`() throws {
        try withHost { connection in
            // The driver for tests calls this an internal error; QEMU's says 55.
            let domain = try connection.domain(named: Self.uuids[2])
            let error = #expect(throws: DomainControlError.self) { try domain.suspend() }
            #expect(error?.kind == .failed && error?.code == 1)
            #expect(error?.message.hasSuffix("not running (virDomainSuspend)") == true)
        }
    }

    @Test func `a domain outlives the variable that held its connection`() throws {
        var domain: (any DomainControl)?
        try withHost { domain = try $0.domain(named: "first") }
        #expect(try domain?.status().state == .running)
        try domain?.suspend()
        #expect(try domain?.status().state == .paused)
    }

    @Test func `events of other domains are dropped, and do not keep the connection readable`()
        throws
    {
        try withHost { connection in
            let (first, second) = try (
                connection.domain(named: "first"), connection.domain(named: "2")
            )
            try second.suspend()
            let ready = try waitForAny(
                of: [(connection.signal.number, .readable)],
                deadline: deadline(inSeconds: 5)
            )
            #expect(!ready[0].isEmpty)
            #expect(first.events().isEmpty)
            let after = try waitForAny(of: [(connection.signal.number, .readable)], deadline: 0)
            #expect(after[0].isEmpty)
        }
    }
}
