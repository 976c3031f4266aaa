import Custody
import Foundation
import LiveSupport
import Synchronization
import Testing

@testable import Casework

@Suite(.timeLimit(.minutes(1))) struct RescueTests {
    /// A store with two sessions that were left behind.
    private func sessions() throws -> (state: String, entries: [SessionEntry]) {
        let place = FileManager.default.temporaryDirectory.path
        let state = "\(place)/gb-\(UInt32.random(in: 0 ... .max))"
        let store = SessionStore(stateDirectory: state)
        for digit in 1...2 {
            let uuid = "0000000\(digit)-0000-4000-8000-000000000000"
            _ = try store.begin(
                SessionRecord.Opening(
                    session: SessionStore.newName(),
                    run: DomainRun(uuid: uuid, id: Int32(digit)),
                    domain: "web-\(digit)",
                    mode: .strict,
                    bootID: uuid,
                    uri: "qemu+unix:///system?socket=/run/elsewhere",
                    pauseSecondsMax: 60,
                    user: "alice",
                    program: .own,
                    custodian: .own
                )
            )
        }
        return (state, try store.list())
    }

    private func rescue(_ state: String, _ custodians: FakeCustodian) -> Rescue {
        var patience = CustodianClient.Patience()
        patience.recover = 0.3
        return Rescue(
            stateDirectory: state,
            connect: nil,
            starting: custodians,
            patience: patience
        )
    }

    @Test func `one that libvirt does not answer for keeps no other one waiting`() throws {
        let (state, entries) = try sessions()
        defer { try? FileManager.default.removeItem(atPath: state) }
        let custodians = FakeCustodian(
            { teller in
                try teller.serve { if case .recover = $0 { true } else { false } }
                // It hangs in libvirt until the front has gone.
                _ = try teller.hear()
            },
            { try $0.serve() }
        )
        let found = rescue(state, custodians).recover(entries)
        #expect(found.map(\.outcome) == [.held, .recovered])
        #expect(found.first?.session == entries[0].name)
        let asked = custodians.heard.withLock { $0 }
        // What stands in a journal is for people.
        #expect(asked.contains(.connect(uri: nil)))
        let names = asked.compactMap {
            if case .recover(_, let session) = $0 { session } else { nil }
        }
        #expect(names == entries.map(\.name))
    }

    @Test func `while no libvirt is there all are said to be held, after one attempt`() throws {
        let (state, entries) = try sessions()
        defer { try? FileManager.default.removeItem(atPath: state) }
        let custodians = FakeCustodian({ teller in
            try teller.hear()
            try teller.tell(.failed(CustodyFailure(code: 6, "libvirt does not answer.")))
        })
        let found = rescue(state, custodians).recover(entries)
        #expect(found.map(\.outcome) == [.held, .held])
        #expect(found.allSatisfy { $0.detail.contains("libvirt does not answer") })
    }
}
