import Custody
import DiskFormats
import Foundation
import Linux
import LiveSupport
import Synchronization
import TestSupport
import Testing

@testable import Casework

/// Domains as targets: what has to be true before, while and after one is held.
@Suite struct LiveDomainTests {
    private static let uuid = DomainFacts.sample.uuid

    /// What a user was warned of.
    private final class Warnings: Sendable {
        let all = Mutex<[String]>([])
    }

    /// A domain with one raw disk, and a custodian that serves it.
    private final class Bench {
        let scratch: Scratch
        let disk: String
        let warnings = Warnings()
        var facts: DomainFacts
        var held: Held

        init() throws {
            scratch = try Scratch()
            disk = scratch.path + "/root.img"
            try Data(repeating: 7, count: 1 << 16).write(to: URL(fileURLWithPath: disk))
            facts = .sample
            held = .sample
            facts.description = Self.xml(disk)
            held.facts = facts
        }

        static func xml(_ disk: String, id: String = " id='7'", more: String = "") -> String {
            """
            <domain type='qemu'\(id)><name>instance-0000002a</name>
            <uuid>\(LiveDomainTests.uuid)</uuid><devices>
            <disk type='file' device='disk'><driver name='qemu' type='raw'/>
            <source file='\(disk)'/><backingStore/><target dev='vda' bus='virtio'/></disk>\(more)
            </devices></domain>
            """
        }

        func custodian() -> FakeCustodian {
            let (facts, held) = (facts, held)
            return FakeCustodian { try Self.serve($0, facts, held) }
        }

        static func serve(
            _ teller: FakeCustodian.Teller,
            _ facts: DomainFacts,
            _ held: Held
        ) throws {
            while true {
                try teller.serve(held) { if case .find = $0 { true } else { $0 == .release } }
                guard let last = teller.custodian.heard.withLock({ $0.last }) else { return }
                if last == .release { return try teller.tell(.released(.sample)) }
                try teller.tell(.domain(facts))
            }
        }

        func domain(
            _ custodian: FakeCustodian,
            change: (inout LiveOptions) -> Void = { _ in }
        ) throws(GloveboxError) -> LiveDomain {
            var options = LiveOptions(starting: custodian) { [warnings] text in
                warnings.all.withLock { $0.append(text) }
            }
            options.stateDirectory = scratch.path
            change(&options)
            return try LiveDomain("domain:x", options: options, attaching: AttachOptions())
        }

        func attach(_ domain: LiveDomain) throws(GloveboxError) -> AttachedDisk {
            var warnings: [String] = []
            return try domain.image(domain.target.disks[0], warnings: &warnings)
        }
    }

    private static func holds(_ custodian: FakeCustodian) -> [HoldOrder] {
        custodian.heard.withLock { heard in
            heard.compactMap { if case .hold(let order) = $0 { order } else { nil } }
        }
    }

    @Test func `a domain is held at the first need of a disk, and let go of once`() throws {
        let bench = try Bench()
        let custodian = bench.custodian()
        let domain = try bench.domain(custodian)
        #expect(domain.plan == .held(.strict))
        #expect(domain.consistency == .suspended)
        #expect(domain.target.disks.map(\.name) == ["root.img"])
        domain.look()
        #expect(Self.holds(custodian).isEmpty)
        let image = try bench.attach(domain)
        #expect(try image.source.bytes(at: 0, count: 3) == [7, 7, 7])
        #expect(image.hold != nil)
        #expect(image.hostFiles.count == 1)
        #expect(image.spliceFiles.isEmpty)
        try domain.mounting()
        _ = try bench.attach(domain)
        let report = try #require(domain.release())
        #expect(report.isIntact)
        #expect(domain.release()?.session == report.session)
        #expect(Self.holds(custodian).count == 1)
        #expect(throws: DiskError.self) { try image.source.bytes(at: 0, count: 3) }
        let orders = Self.holds(custodian)
        #expect(orders.first?.run == DomainRun(uuid: Self.uuid, id: 7))
        #expect(orders.first?.pauseSecondsMax == 120)
        #expect(custodian.heard.withLock { $0.last } == .release)
    }

    @Test func `a domain that is let go of is not held anew`() throws {
        let bench = try Bench()
        let custodian = bench.custodian()
        let domain = try bench.domain(custodian)
        domain.look()
        #expect(domain.release() == nil)
        let error = #expect(throws: GloveboxError.self) { try bench.attach(domain) }
        #expect(error?.kind == .wrongState)
        #expect(Self.holds(custodian).isEmpty)
    }

    @Test func `a description that changed before the suspend is let go of unread`() throws {
        let bench = try Bench()
        bench.held.facts.description = Bench.xml(
            bench.disk,
            more: "<disk type='file' device='cdrom'><target dev='vdb' bus='ide'/></disk>"
        )
        let custodian = bench.custodian()
        let domain = try bench.domain(custodian)
        domain.look()
        let error = #expect(throws: GloveboxError.self) { try bench.attach(domain) }
        #expect(error?.kind == .wrongState)
        #expect(error?.message.contains("description") == true)
        #expect(custodian.heard.withLock { $0.last } == .release)
        #expect(!custodian.heard.withLock { $0.contains(.step(.connected, readers: [])) })
    }

    @Test func `files that were exchanged before the suspend are let go of unread`() throws {
        let bench = try Bench()
        let custodian = bench.custodian()
        let domain = try bench.domain(custodian)
        domain.look()
        let other = bench.scratch.path + "/other"
        try Data(repeating: 8, count: 1 << 16).write(to: URL(fileURLWithPath: other))
        #expect(unsafe rename(other, bench.disk) == 0)
        let error = #expect(throws: GloveboxError.self) { try bench.attach(domain) }
        #expect(error?.kind == .wrongState)
        #expect(error?.message.contains("files of root.img") == true)
        #expect(custodian.heard.withLock { $0.last } == .release)
    }

    @Test func `a domain that is off is read under locks, and not held`() throws {
        let bench = try Bench()
        bench.facts.status = DomainStatus(id: nil, state: .shutOff)
        bench.facts.description = Bench.xml(bench.disk, id: "")
        let custodian = bench.custodian()
        let domain = try bench.domain(custodian)
        #expect(domain.plan == .offline)
        #expect(domain.consistency == .offline)
        domain.look()
        let image = try bench.attach(domain)
        #expect(image.hold == nil)
        #expect(try image.source.bytes(at: 0, count: 1) == [7])
        #expect(image.layers.map(\.isLocked) == [true])
        #expect(domain.release() == nil)
        #expect(Self.holds(custodian).isEmpty)
    }

    @Test(arguments: [
        DomainStatus(id: 7, state: .crashed), DomainStatus(id: 7, state: .sleeping),
        DomainStatus(id: 7, state: .paused, pauseReason: .migration),
        DomainStatus(id: 7, state: .running, job: .migration),
    ])
    func `a state that is not to be held is refused with words`(_ status: DomainStatus) throws {
        let bench = try Bench()
        bench.facts.status = status
        let error = #expect(throws: GloveboxError.self) { try bench.domain(bench.custodian()) }
        #expect(error?.kind == .wrongState)
        #expect(error?.advice.isEmpty == false)
    }

    @Test func `a domain that somebody else has paused is held as it was found`() throws {
        let bench = try Bench()
        bench.facts.status = DomainStatus(id: 7, state: .paused, pauseReason: .user)
        bench.held.mode = .asFound
        let custodian = bench.custodian()
        let domain = try bench.domain(custodian) { $0.pauseMode = .brief }
        domain.look()
        _ = try bench.attach(domain)
        #expect(Self.holds(custodian).map(\.mode) == [.asFound])
        #expect(domain.consistency == .asFoundPaused)
    }

    @Test func `where no point in time can be had it is held strictly, and that is said`() throws {
        let bench = try Bench()
        let (facts, held) = (bench.facts, bench.held)
        let custodian = FakeCustodian(
            { teller in
                try teller.hear()
                try teller.tell(.connected(uri: "", versions: ""))
                try teller.hear()
                try teller.tell(.domain(facts))
                try teller.hear()
                try teller.tell(.failed(CustodyFailure(code: 5, "Backups are unsupported.")))
                try teller.hear()
            },
            { try Bench.serve($0, facts, held) }
        )
        let domain = try bench.domain(custodian) { $0.pauseMode = .brief }
        domain.look()
        let image = try bench.attach(domain)
        #expect(try image.source.bytes(at: 0, count: 1) == [7])
        let orders = Self.holds(custodian)
        #expect(orders.map(\.mode) == [.brief, .strict])
        #expect(orders.first?.exports == [.init(target: "vda", byteCount: 1 << 16)])
        #expect(orders.last?.exports == [])
        #expect(domain.consistency == .suspended)
        #expect(bench.warnings.all.withLock { $0 }.contains { $0.contains("unsupported") })
        #expect(domain.release()?.isIntact == true)
    }

    @Test func `another domain than libvirt's answer says is not taken`() throws {
        let bench = try Bench()
        bench.facts.status.id = 8
        let error = #expect(throws: GloveboxError.self) { try bench.domain(bench.custodian()) }
        #expect(error?.kind == .wrongState)
    }

    @Test func `a disk in another instance's directory is refused`() throws {
        let bench = try Bench()
        let other = "11111111-2222-4333-8444-555555555555"
        let directory = "\(bench.scratch.path)/\(other)"
        try FileManager.default.createDirectory(
            atPath: directory,
            withIntermediateDirectories: true
        )
        let disk = directory + "/disk"
        try Data(repeating: 7, count: 512).write(to: URL(fileURLWithPath: disk))
        bench.facts.description = Bench.xml(disk)
        let domain = try bench.domain(bench.custodian())
        let instances = try NovaInstances([bench.scratch.path])
        let error = #expect(throws: GloveboxError.self) {
            try TargetSurvey(domain.target, AttachOptions(), instances)
        }
        #expect(error?.kind == .refused)
        #expect(error?.message.contains(other) == true)
    }

    @Test func `the instance of a domain's own directory is the domain's`() throws {
        let bench = try Bench()
        let directory = "\(bench.scratch.path)/\(Self.uuid)"
        try FileManager.default.createDirectory(
            atPath: directory,
            withIntermediateDirectories: true
        )
        let disk = directory + "/disk"
        try Data(repeating: 7, count: 512).write(to: URL(fileURLWithPath: disk))
        bench.facts.description = Bench.xml(disk)
        let domain = try bench.domain(bench.custodian())
        let instances = try NovaInstances([bench.scratch.path])
        let survey = try TargetSurvey(domain.target, AttachOptions(), instances)
        #expect(survey.instance == Self.uuid)
        #expect(survey.firstPlace(notOf: Self.uuid) == nil)
        #expect(survey.firstPlace(notOf: "other") != nil)
    }

    @Test func `the engine is refused while an instance is suspended, unless that is accepted`()
        throws
    {
        struct None: EngineLauncher {
            func start(_ disks: [AttachedDisk]) throws(GloveboxError) -> EngineProcesses {
                throw GloveboxError(.notFound, "started")
            }
        }
        let bench = try Bench()
        let domain = try bench.domain(bench.custodian())
        domain.look()
        let image = try bench.attach(domain)
        let refused = #expect(throws: GloveboxError.self) {
            try HeldLauncher(None(), acceptsPause: false).start([image])
        }
        #expect(refused?.kind == .wrongState)
        #expect(refused?.advice.contains("--accept-pause") == true)
        let started = #expect(throws: GloveboxError.self) {
            try HeldLauncher(None(), acceptsPause: true).start([image])
        }
        #expect(started?.kind == .notFound)
    }
}
