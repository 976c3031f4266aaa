import Checkers
import Testing

@testable import GuestfsEngine

@Suite struct CheckRunnerTests {
    private let volumes = ["a", "b", "c"].map {
        CheckVolume(name: $0, type: "exfat", disk: 0, start: 0, byteCount: 1 << 20)
    }

    @Test func `a volume that takes the appliance down leaves the others their answers`() throws {
        let lab = Lab()
        lab.answers = [
            .text("00\n0"), .dies, .text("00\n0"), .text("ok\n0"), .text("00\n0"), .text("\n4"),
        ]
        let reports = try lab.runner.check(volumes, rehearse: false)
        #expect(reports.map(\.verdict) == [.notCheckable, .clean, .damaged])
        #expect(reports[0].reason.contains("the power went"))
        #expect(lab.launches == 2)
    }

    @Test func `a repair is rehearsed in a fresh appliance, and only where there is damage`() throws
    {
        let lab = Lab()
        lab.answers = [
            .text("00\n0"), .text("\n4"), .text("00\n0"), .text("\n0"),
            .text("repaired\n1"), .text("\n0"),
        ]
        let reports = try lab.runner.check(Array(volumes.prefix(2)), rehearse: true)
        #expect(reports.map(\.verdict) == [.damaged, .clean])
        #expect(reports[0].rehearsal?.outcome == .fixed)
        #expect(reports[1].rehearsal == nil)
        #expect(lab.launches == 2)
    }

    @Test func `an appliance that dies under a repair means not repairable, not no answer`() throws
    {
        let lab = Lab()
        lab.answers = [.text("00\n0"), .text("\n4"), .dies]
        let reports = try lab.runner.check([volumes[0]], rehearse: true)
        #expect(reports[0].verdict == .damaged)
        #expect(reports[0].rehearsal?.outcome == .notRepairable)
    }

    @Test(arguments: ["", "no end", "text\nx", "text\n"])
    func `an answer without an exit code is no answer`(_ answer: String) throws {
        let lab = Lab()
        lab.answers = [.text("00\n0"), .text(answer)]
        let reports = try lab.runner.check([volumes[0]], rehearse: false)
        #expect(reports[0].verdict == .notCheckable)
    }

    @Test(arguments: ["", "sda", "/dev/sda; reboot", "/dev/../etc", "/dev/$(x)"])
    func `a device that is not plainly one is not used`(_ device: String) throws {
        let lab = Lab()
        lab.device = device
        let reports = try lab.runner.check([volumes[0]], rehearse: false)
        #expect(reports[0].verdict == .notCheckable)
        #expect(lab.scripts.count == 1)
    }

    @Test func `a program whose time was over is not taken for a checker's answer`() throws {
        for code in [124, 137] {
            let lab = Lab()
            lab.answers = [.text("00\n0"), .text("checking\n\(code)")]
            let report = try #require(try lab.runner.check([volumes[0]], rehearse: false).first)
            #expect(report.verdict == .notCheckable)
            #expect(report.steps.last?.ending == .timedOut)
        }
    }

    @Test func `a partition is looked for by its place`() throws {
        let lab = Lab()
        lab.answers = [.text("00\n0"), .text("\n0")]
        let volume = CheckVolume(
            name: "d:p1",
            type: "exfat",
            disk: 7,
            start: 1 << 20,
            byteCount: 3 << 20
        )
        _ = try lab.runner.check([volume], rehearse: false)
        let script = try #require(lab.scripts.first)
        #expect(script.contains("readlink -f /dev/lab/7"))
        #expect(script.contains("= 2048 ]") && script.contains("= 6144 ]"))
        #expect(script.contains("losetup -f --show -o 1048576 --sizelimit 3145728"))
    }
}

/// Launches places that answer from a list.
private final class Lab {
    enum Answer {
        case text(String)
        case dies
    }

    var answers: [Answer] = []
    var device = "/dev/sda"
    var launches = 0
    var scripts: [String] = []

    var runner: CheckRunner {
        CheckRunner { () throws(CheckShellError) in
            self.launches += 1
            return Place(lab: self)
        }
    }

    private final class Place: CheckPlace {
        let lab: Lab
        init(lab: Lab) { self.lab = lab }

        func device(_ disk: Int) -> String { "/dev/lab/\(disk)" }

        func run(_ script: String, seconds: Int) throws(CheckShellError) -> [UInt8] {
            lab.scripts.append(script)
            if script.hasPrefix("b=$(readlink") { return [UInt8]("\(lab.device)\n".utf8) }
            guard !lab.answers.isEmpty, case .text(let text) = lab.answers.removeFirst() else {
                throw CheckShellError("the power went")
            }
            return [UInt8](text.utf8)
        }
    }
}
