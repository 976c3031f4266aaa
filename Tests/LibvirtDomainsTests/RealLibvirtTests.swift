import Custody
import Foundation
import Linux
import Testing

@testable import LibvirtDomains

private let realURI = OwnProcess.variable("GLOVEBOX_TEST_LIBVIRT")

/// A real libvirtd and QEMU, such as Fixtures/lab starts: GLOVEBOX_TEST_LIBVIRT is its URI.
///
/// Suspends and resumes the first domain that runs there; it is to be nobody's.
@Suite(.enabled(if: realURI != nil, "GLOVEBOX_TEST_LIBVIRT names no libvirt"), .serialized)
struct RealLibvirtTests {
    private let connection: any DomainConnection
    private let domain: any DomainControl

    init() throws {
        let uri: String = try #require(realURI)
        connection = try LibvirtHost(uri: uri).connect()
        domain = try #require(
            connection.domains().first { try $0.status().state == .running },
            "no domain runs"
        )
        _ = domain.events()
    }

    /// The events of the domain until there are `count`, and for half a second more.
    private func events(_ count: Int) -> [DomainEvent] {
        var (events, end) = ([DomainEvent](), deadline(inSeconds: 5))
        while monotonicNanoseconds() < end {
            let isShort = events.count < count
            events += domain.events()
            if isShort, events.count >= count { end = deadline(inSeconds: 0.5) }
            pauseThread(seconds: 0.005)
        }
        return events
    }

    @Test func `each suspend and resume that changes something is one event`() throws {
        let run = try #require(try domain.facts().run)
        try domain.suspend()
        #expect(events(1) == [.suspended])
        let status = try domain.status()
        #expect(status.state == .paused && status.pauseReason == .user && status.id == run.id)
        try domain.suspend()
        #expect(events(1).isEmpty, "a suspend of what is paused succeeds, and nobody is told")
        try domain.resume()
        #expect(events(1) == [.resumed])
        let error = #expect(throws: DomainControlError.self) { try domain.resume() }
        #expect(error?.kind == .wrongState && error?.code == 55)
    }

    @Test func `it is found by its name, its id and its uuid`() throws {
        let id = try #require(try domain.status().id)
        for name in [domain.name, "\(id)", domain.uuid, domain.uuid.uppercased()] {
            let found = try connection.domain(named: name)
            #expect(found.uuid == domain.uuid)
        }
    }

    @Test func `without a job there is none to describe or to end`() throws {
        #expect(try domain.status().job == .none)
        #expect(try domain.backupDescription() == nil)
        let error = #expect(throws: DomainControlError.self) { try domain.abortJob() }
        #expect(error?.kind == .wrongState && error?.code == 55)
    }

    @Test func `connections that end leave no descriptor behind`() throws {
        func count() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        }
        let uri: String = try #require(realURI)
        let host = try LibvirtHost(uri: uri)
        let before = try count()
        for _ in 0..<20 { _ = try host.connect().domain(named: domain.uuid).status() }
        let end = deadline(inSeconds: 5)
        while try count() > before + 5, monotonicNanoseconds() < end { pauseThread(seconds: 0.05) }
        #expect(try count() <= before + 5, "others of this process may have opened a few")
    }
}
