import Custody
import LibvirtDomains
import Linux
import Testing

/// libvirt's own driver for tests (`test:///default`) keeps its domains in the process: states, jobs
/// and events are the library's, no guest is needed.
@Suite(.serialized)
struct LibvirtDomainsTests {
    private let connection: any DomainConnection

    init() throws { connection = try LibvirtHost(uri: "test:///default").connect() }

    private func domain() throws -> any DomainControl { try connection.domain(named: "test") }

    /// The events of a domain, as soon as there are `count`.
    private func events(_ domain: any DomainControl, _ count: Int) -> [DomainEvent] {
        var events: [DomainEvent] = []
        let end = deadline(inSeconds: 5)
        while events.count < count, monotonicNanoseconds() < end {
            events += domain.events()
            pauseThread(seconds: 0.005)
        }
        return events
    }

    @Test func `a domain is found by its name, its id and its uuid`() throws {
        let named = try domain()
        let id = try #require(try named.status().id)
        #expect(try connection.domain(named: "\(id)").uuid == named.uuid)
        #expect(try connection.domain(named: named.uuid.uppercased()).name == "test")
        #expect(try connection.domains().map(\.name) == ["test"])
        #expect(try named.facts().description.contains("<name>test</name>"))
    }

    @Test func `what cannot be a name is not looked for`() {
        for name in ["test\0", "\0", "", String(repeating: "a", count: 1_001)] {
            let error = #expect(throws: DomainControlError.self) {
                try connection.domain(named: name)
            }
            #expect(error?.kind == .usage)
        }
    }

    @Test(arguments: ["nobody", "4711", "6695eb01-f6a4-8304-79aa-97f2502e1930", "-1", "1 "])
    func `what is not there is named`(name: String) {
        let error = #expect(throws: DomainControlError.self) {
            try connection.domain(named: name)
        }
        #expect(error?.kind == .noDomain && error?.code == 42)
    }

    @Test func `suspend and resume are told by state, reason and event`() throws {
        let domain = try domain()
        _ = domain.events()
        #expect(try domain.status().state == .running)
        try domain.suspend()
        let status = try domain.status()
        #expect(status.state == .paused && status.pauseReason == .user && status.job == .none)
        #expect(events(domain, 1) == [.suspended])
        try domain.resume()
        #expect(try domain.status().state == .running)
        #expect(events(domain, 1) == [.resumed])
    }

    @Test func `events make the connection readable until they are taken`() throws {
        let domain = try domain()
        _ = domain.events()
        func isReadable(within seconds: Double) throws -> Bool {
            let end = deadline(inSeconds: seconds)
            let ready = try waitForAny(of: [(connection.signal.number, .readable)], deadline: end)
            return !ready[0].isEmpty
        }
        #expect(try !isReadable(within: 0.05))
        try domain.suspend()
        #expect(try isReadable(within: 5))
        #expect(events(domain, 1) == [.suspended])
        #expect(try !isReadable(within: 0.05))
        try domain.resume()
        #expect(try isReadable(within: 5))
    }

    @Test func `what this driver cannot do is unsupported`() throws {
        let domain = try domain()
        #expect(try domain.backupDescription() == nil)
        let error = #expect(throws: DomainControlError.self) {
            try domain.beginBackup("<domainbackup mode='pull'/>")
        }
        #expect(error?.kind == .unsupported)
    }

    @Test(
        arguments: [
            "qemu+ssh://example.com/system", "qemu+ext:///system?command=/bin/true",
            "qemu://example.com/system", "qemu+tcp:///system", "qemu+tls:///system",
            "xen:///system",
            "/system", "", "qemu+unix+ssh:///system", "qemu+:///system",
            "test+unix:///default", "test+ssh:///default", "qemu:///embed?root=/tmp",
            "qemu:///system?name=qemu%2Bssh://example.com/system",
            "qemu+unix:///system?socket=/run/s&name=test:///default",
            "qemu+unix:///system?socket=/run/s;name=test:///default",
            "qemu:///system?command=/bin/true", "qemu:///system#name=x", "qemu:///system?",
            "test:///default?name=x", "qemu:////system",
        ]
    )
    func `a libvirt of another host, or behind a command, is refused`(uri: String) {
        let error = #expect(throws: DomainControlError.self) { try LibvirtHost(uri: uri) }
        #expect(error?.kind == .usage)
    }

    @Test func `a URI that libvirt would read only to its first NUL is refused`() {
        let uris = ["qemu:///system\0", "qemu+unix:///system?socket=/run/s\0", "test:///\0"]
        for uri in uris {
            #expect(throws: DomainControlError.self) { try LibvirtHost(uri: uri) }
        }
    }

    @Test(
        arguments: [
            "qemu:///system", "qemu:///session", "qemu+unix:///system",
            "qemu+unix:///system?socket=/run/s", "qemu:///system?mode=direct&socket=/run/s",
            "test:///default", "test:///tmp/host.xml",
        ]
    )
    func `a libvirt of this host is accepted`(uri: String) throws {
        _ = try LibvirtHost(uri: uri)
    }

    @Test func `no libvirt is an error that says so`() throws {
        let host = try LibvirtHost(uri: "qemu+unix:///system?socket=/nonexistent/socket")
        let error = #expect(throws: DomainControlError.self) { try host.connect() }
        #expect(error?.kind == .connectionLost)
        #expect(error?.message.contains("/nonexistent/socket") == true)
    }
}
