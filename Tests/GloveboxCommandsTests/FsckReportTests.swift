import Checkers
import Foundation
import Testing

@testable import GloveboxCommands

@Suite struct FsckReportTests {
    private func report(_ verdict: Verdict, _ name: String = "d:p1", counts: Bool = true)
        -> CheckReport
    {
        CheckReport(volume: name, type: "ext4", verdict: verdict, isCheckable: counts)
    }

    @Test func `damage decides, whatever stands beside it`() {
        let all = Verdict.allCases.map { report($0) }
        #expect(FsckReport.sum(all, named: false) == .damaged)
        #expect(FsckReport.sum(all.reversed(), named: true) == .damaged)
    }

    @Test func `clean is only what is clean everywhere`() {
        let sound = [report(.clean), report(.cleanAfterReplay)]
        #expect(FsckReport.sum(sound, named: true) == .sound)
        #expect(FsckReport.sum(sound + [report(.tooNew, "d:p2")], named: false) == .open(["d:p2"]))
        #expect(
            FsckReport.sum(sound + [report(.notCheckable, "d:p3")], named: false) == .open(["d:p3"])
        )
    }

    @Test func `what has no checker counts only where it is named`() {
        let swap = [report(.clean), report(.notCheckable, "d:p2", counts: false)]
        #expect(FsckReport.sum(swap, named: false) == .sound)
        #expect(FsckReport.sum(swap, named: true) == .open(["d:p2"]))
    }

    @Test func `what was checked by its content never counts, damaged content does`() {
        var container = report(.notCheckable, "d:p2", counts: false)
        container.checkedAs = ["d:vg/root"]
        #expect(FsckReport.sum([container, report(.clean)], named: true) == .sound)
        #expect(FsckReport.sum([container, report(.damaged)], named: true) == .damaged)
        #expect(FsckReport.text(container, verbose: false).contains("checked as d:vg/root"))
        let json = String(decoding: FsckReport.json(target: "t", [container]), as: UTF8.self)
        #expect(json.contains(#""checked_as":["d:vg/root"]"#))
    }

    @Test func `a long text is cut for people, and whole with verbose and in JSON`() throws {
        var damaged = report(.damaged)
        let lines = (0..<100).map { "Inode \($0) is odd.  Fix? no" }
        damaged.steps = [
            CheckStep(
                command: "e2fsck -fn",
                ending: .exited(4),
                text: lines.joined(separator: "\n")
            )
        ]
        let brief = FsckReport.text(damaged, verbose: false)
        #expect(brief.contains("Inode 0 is odd") && !brief.contains("Inode 99 is odd"))
        #expect(brief.contains("76 more lines"))
        #expect(FsckReport.text(damaged, verbose: true).contains("Inode 99 is odd"))
        let document = try JSONSerialization.jsonObject(
            with: Data(FsckReport.json(target: "t", [damaged]))
        )
        let volumes = (document as? [String: Any])?["volumes"] as? [[String: Any]]
        let steps = volumes?.first?["steps"] as? [[String: Any]]
        #expect(steps?.first?["text"] as? String == lines.joined(separator: "\n"))
        #expect(steps?.first?["exit_code"] as? Int == 4)
    }

    @Test func `a rehearsal says how many it does not name`() {
        var damaged = report(.damaged)
        damaged.rehearsal = Rehearsal(
            outcome: .fixedWithLosses,
            movedCount: 120,
            moved: (0..<120).map { "#\($0)" }
        )
        let text = FsckReport.text(damaged, verbose: false)
        #expect(text.contains("120 moved to lost+found"))
        #expect(text.contains("and 20 more"))
    }
}
