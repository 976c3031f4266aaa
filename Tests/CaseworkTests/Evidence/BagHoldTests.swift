import Custody
import DiskFormats
import Foundation
import LiveSupport
import TestSupport
import Testing

@testable import Casework

/// Bags of instances that were held while they were read.
@Suite struct BagHoldTests {
    private static let uuid = DomainFacts.sample.uuid

    /// Makes a bag of an instance whose hold ended as `release` says.
    private static func make(
        at path: String,
        mode: HoldMode = .strict,
        consistency: Consistency = .suspended,
        release: @escaping FakeCustodian.Script
    ) throws -> EvidenceBag.Seal? {
        var held = Held.sample
        held.mode = mode
        let custodian = FakeCustodian { [held] teller in
            try teller.serve(held) { $0 == .release }
            try release(teller)
        }
        var order = HoldOrder.sample
        order.mode = mode
        let hold = try CustodianClient(uri: nil, starting: custodian).hold(order)
        let files = FakeFileSystem()
        files.addFile([UInt8]("a".utf8), [.bytes([1, 2, 3])])
        return try EvidenceBag(at: path, signer: nil).make(
            from: [
                Extraction.Root(
                    files,
                    inode: files.rootInode,
                    guestPath: [0x2F],
                    name: [],
                    volume: "disk:p1"
                )
            ],
            options: Extraction.Options(),
            source: BagSource(
                target: "domain:x",
                instance: uuid,
                disks: [],
                inner: [],
                consistency: consistency
            ),
            context: BagContext(paths: ["/"], program: "glovebox 1", hold: BagHold(hold)),
            cancellation: CancellationFlag(),
            progress: { _ in }
        ).seal
    }

    private static func text(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
    }

    private static func verdict(_ bag: String) throws -> BagVerdict {
        let trust = BagTrust(requesters: nil, approvers: nil, operators: nil, origin: "the test")
        return try BagVerification(bag, trust: trust, allowsUnsigned: true).run()
    }

    private static func status(_ check: BagCheck, _ verdict: BagVerdict) -> BagVerdict.Status? {
        verdict.findings.first { $0.check == check }?.status
    }

    @Test func `an intact hold is in the chain, the source and the report, and verified`() throws {
        let scratch = try Scratch()
        let bag = scratch.path + "/A.bag"
        let seal = try Self.make(at: bag) { try $0.tell(.released(.sample)) }
        #expect(seal != nil)
        let custody = try Self.text(bag + "/data/custody.jsonl")
        let events = custody.split(separator: "\n").map { line in
            line.split(separator: "\"event\":\"").last?.prefix { $0 != "\"" } ?? ""
        }
        #expect(
            events == ["unapproved", "held", "opened", "read", "released", "extracted", "sealed"]
        )
        #expect(
            custody.contains(
                "\"session\":\"\(Held.sample.session)\",\"mode\":\"strict\",\"domain_id\":7,"
                    + "\"uuid\":\"\(Self.uuid)\""
            )
        )
        #expect(
            custody.contains(
                "\"ending\":\"finished\",\"resumption\":\"confirmed\",\"paused_ms\":1,"
                    + "\"intact\":true"
            )
        )
        #expect(try Self.text(bag + "/data/source.json").contains("\"consistency\":\"suspended\""))
        #expect(try Self.text(bag + "/report.html").contains("suspended for as long as"))
        let verdict = try Self.verdict(bag)
        #expect(Self.status(.source, verdict) == .passed)
        #expect(Self.status(.custody, verdict) == .passed)
        #expect(verdict.isComplete == true)
    }

    @Test func `a hold that did not last makes the bag incomplete, and says so`() throws {
        let scratch = try Scratch()
        let bag = scratch.path + "/A.bag"
        let seal = try Self.make(at: bag) { try $0.tell(.released(.broken)) }
        #expect(seal != nil)
        #expect(try Self.text(bag + "/data/custody.jsonl").contains("\"intact\":false"))
        #expect(try Self.text(bag + "/report.html").contains("was not held until all was read"))
        let verdict = try Self.verdict(bag)
        #expect(Self.status(.custody, verdict) == .passed)
        #expect(verdict.isComplete == false)
    }

    @Test func `a consistency that does not fit the hold is noticed`() throws {
        let scratch = try Scratch()
        let bag = scratch.path + "/A.bag"
        _ = try Self.make(at: bag, consistency: .offline) { try $0.tell(.released(.sample)) }
        #expect(Self.status(.custody, try Self.verdict(bag)) == .failed)
    }

    @Test(arguments: [HoldMode.brief, .asFound])
    func `each mode has its word`(_ mode: HoldMode) throws {
        let scratch = try Scratch()
        let bag = scratch.path + "/A.bag"
        let word: Consistency = mode == .brief ? .pointInTime : .asFoundPaused
        _ = try Self.make(at: bag, mode: mode, consistency: word) {
            try $0.tell(.released(.sample))
        }
        #expect(Self.status(.custody, try Self.verdict(bag)) == .passed)
    }
}
