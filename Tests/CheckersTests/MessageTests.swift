import DiskFormats
import EngineProtocol
import Testing

@testable import Checkers

@Suite struct CheckMessageTests {
    private let report = CheckReport(
        volume: "disk:p1",
        type: "ext4",
        verdict: .damaged,
        wasDirty: true,
        reason: "why",
        checkedAs: ["disk:vg/root"],
        deviceCount: 2,
        steps: [
            CheckStep(command: "e2fsck -fn", ending: .exited(4), text: "said", isTruncated: true),
            CheckStep(command: "slow", ending: .timedOut, text: ""),
        ],
        rehearsal: Rehearsal(
            outcome: .fixedWithLosses,
            reason: "",
            movedCount: 300,
            moved: (0..<300).map { "#\($0)" },
            lostCount: 1,
            lost: ["Clear inode? yes"],
            steps: [CheckStep(command: "e2fsck -fy", ending: .exited(1), text: "")]
        )
    )
    private let request = CheckRequest(
        volumes: [
            CheckVolume(name: "disk:p1", type: "xfs", disk: 2, start: 1 << 40, byteCount: 1 << 50),
            CheckVolume(
                name: "disk:vg/root",
                type: "btrfs",
                disk: 1,
                start: 0,
                byteCount: 1,
                inner: "vg/root",
                uuid: "0b7a3c1e"
            ),
        ],
        rehearse: true
    )

    @Test func `reports and requests survive the way`() throws {
        var writer = MessageWriter()
        report.write(to: &writer)
        request.write(to: &writer)
        var reader = MessageReader(writer.bytes)
        #expect(try CheckReport(from: &reader) == report)
        #expect(try CheckRequest(from: &reader) == request)
        try reader.end()
    }

    @Test func `every truncation throws and none traps`() {
        var writer = MessageWriter()
        report.write(to: &writer)
        for count in 0..<writer.bytes.count {
            var reader = MessageReader(Array(writer.bytes.prefix(count)))
            #expect(throws: DiskError.self) { try CheckReport(from: &reader) }
        }
    }

    @Test func `any byte may be another one without a trap`() {
        var writer = MessageWriter()
        report.write(to: &writer)
        for index in writer.bytes.indices {
            var bytes = writer.bytes
            bytes[index] ^= 0xFF
            var reader = MessageReader(bytes)
            _ = try? CheckReport(from: &reader)
        }
    }
}
