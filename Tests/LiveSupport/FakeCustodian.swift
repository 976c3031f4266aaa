package import Casework
package import Custody
package import DiskFormats
package import EngineProtocol
internal import Linux
package import Synchronization

/// Custodians that do what a test says, on the other end of a real channel.
package final class FakeCustodian: CustodianStarting {
    /// What one of them does with its end of the channel.
    package typealias Script = @Sendable (Teller) throws -> Void

    private let scripts: Mutex<[Script]>
    /// What all of them were asked, in order.
    package let heard = Mutex<[CustodyRequest]>([])

    /// The first that is started follows the first script, and so on; more cannot be started.
    package init(_ scripts: Script...) { self.scripts = Mutex(scripts) }

    package var mayHold: Bool { true }

    package func start() throws(GloveboxError) -> CustodianProcess {
        let script = scripts.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        guard let script else { throw GloveboxError(.unreadable, "There is no other custodian.") }
        do throws(SystemError) {
            let (ours, theirs) = try Channel.pair(named: "a fake")
            let teller = Teller(channel: theirs, custodian: self)
            _ = WorkerThread {
                try? script(teller)
                theirs.end()
            }
            return CustodianProcess(channel: ours, child: nil)
        } catch {
            throw GloveboxError(.unreadable, "\(error)")
        }
    }

    /// One fake's end of the conversation.
    package struct Teller: Sendable {
        package let channel: Channel
        package let custodian: FakeCustodian

        /// The next request; throws where there is none.
        @discardableResult
        package func hear() throws -> CustodyRequest {
            guard let bytes = try channel.receive(deadline: deadline(inSeconds: 300)) else {
                throw DiskError(.truncated, "channel", "ended")
            }
            let request = try CustodyRequest(bytes)
            custodian.heard.withLock { $0.append(request) }
            return request
        }

        package func tell(_ report: CustodyReport) throws { try channel.send(report.bytes) }

        /// Answers what comes as a custodian does that has no trouble, until `.release`, or until
        /// `until` says that the request is the test's own to answer.
        package func serve(
            _ held: Held = .sample,
            until: (CustodyRequest) -> Bool = { _ in false }
        ) throws {
            while true {
                let request = try hear()
                if until(request) { return }
                switch request {
                case .connect:
                    try tell(.connected(uri: "test:///default", versions: "libvirt 9.0.0"))
                case .list: try tell(.domains([.sample]))
                case .find: try tell(.domain(.sample))
                case .hold: try tell(.held(held))
                case .step: try tell(.noted)
                case .stopped: break
                case .release:
                    try tell(.released(.sample))
                    return
                case .recover: try tell(.recovered([.sample(.recovered)]))
                }
            }
        }
    }
}

extension DomainFacts {
    package static let sample = DomainFacts(
        uuid: "5f0c8a52-1c1d-4b60-9a6f-2f3e8f2c1a77",
        name: "instance-0000002a",
        status: DomainStatus(id: 7, state: .running),
        description: "<domain/>"
    )
}

extension Held {
    package static let sample = Held(
        session: "20260131T235959Z-0123456789abcdef",
        facts: .sample,
        mode: .strict,
        deadline: .max
    )

    package func ending(inSeconds seconds: Double) -> Held {
        var held = self
        held.deadline = deadline(inSeconds: seconds)
        return held
    }

    private func deadline(inSeconds seconds: Double) -> UInt64 {
        Linux.deadline(inSeconds: seconds)
    }
}

extension Release {
    package static let sample = Release(
        ending: .finished,
        resumption: .confirmed,
        pausedNanoseconds: 1_500_000,
        isIntact: true
    )
    package static let broken = Release(
        ending: .invalidated,
        resumption: .notNeeded,
        pausedNanoseconds: 2_500_000,
        isIntact: false
    )
}

extension RecoveredSession {
    package static func sample(_ outcome: Outcome) -> RecoveredSession {
        RecoveredSession(
            session: Held.sample.session,
            uuid: DomainFacts.sample.uuid,
            domain: DomainFacts.sample.name,
            outcome: outcome,
            detail: "what was done"
        )
    }
}

extension HoldOrder {
    package static let sample = HoldOrder(
        run: DomainRun(uuid: DomainFacts.sample.uuid, id: 7),
        mode: .strict,
        pauseSecondsMax: 120,
        stateDirectory: "/var/lib/glovebox",
        user: "alice"
    )
}

/// A disk whose reads wait until the test lets them end.
package final class SlowDisk: BlockSource {
    private let state = Monitor(State())

    package init() {}

    private struct State: Sendable {
        var began = false
        var mayEnd = false
    }

    package var byteCount: UInt64 { 4096 }

    package func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        state.update { $0.began = true }
        state.wait { $0.mayEnd ? () : nil }
        for index in 0..<buffer.byteCount {
            buffer.storeBytes(of: 0xAA, toByteOffset: index, as: UInt8.self)
        }
    }

    package func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        BlockRun(length: 1, origin: .computed(layer: 0))
    }

    package func waitUntilBegun() { state.wait { $0.began ? () : nil } }
    package func letEnd() { state.update { $0.mayEnd = true } }
}
