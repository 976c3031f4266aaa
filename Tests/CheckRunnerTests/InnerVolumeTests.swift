import Checkers
import Testing

@testable import GuestfsEngine

@Suite struct InnerVolumeTests {
    private func volume(_ name: String, _ type: String = "exfat", uuid: String = "") -> CheckVolume
    {
        CheckVolume(
            name: "disk:\(name)",
            type: type,
            disk: 3,
            start: 0,
            byteCount: 1 << 20,
            inner: name,
            uuid: uuid
        )
    }

    @Test func `a volume within others is asked for by name in each appliance`() throws {
        let lab = InnerLab(["00\n0", nil, "00\n0", "\n4", "repaired\n1", "\n0"])
        let volumes = [volume("vg/a"), volume("vg/b")]
        let reports = try lab.runner.check(volumes, rehearse: true)
        #expect(reports.map(\.verdict) == [.notCheckable, .damaged])
        #expect(reports[1].rehearsal?.outcome == .fixed)
        #expect(lab.asked == ["1 vg/a 3", "2 vg/b 3", "3 vg/b 3"])
        #expect(lab.scripts.allSatisfy { $0.contains("d=/dev/vg/") })
    }

    private static let odd = [
        "", "vg/a", "/dev/vg/$(x)", "/dev/../etc", "/dev/vg/a b", "/dev/vg//a", "/dev/.",
    ]

    @Test(arguments: odd)
    func `a device whose name means something to a shell is not used`(_ device: String) throws {
        let lab = InnerLab(["00\n0", "\n0"])
        lab.device = { _ in device }
        let reports = try lab.runner.check([volume("vg/a")], rehearse: false)
        #expect(reports[0].verdict == .notCheckable)
        #expect(lab.scripts.isEmpty)
    }

    private let header = "num_devices 2\nlog_root 0\n\n0"
    private let members = "here a 1\nhere b 2\nmember 1\nmember 2\n\n0"

    @Test func `a file system over several volumes is checked once`() throws {
        let lab = InnerLab([header, members, "\n1"])
        let parts = ["vg/a", "vg/b"].map { volume($0, "btrfs", uuid: "u") }
        let reports = try lab.runner.check(parts, rehearse: false)
        #expect(reports.map(\.verdict) == [.damaged, .notCheckable])
        #expect(reports[1].checkedAs == ["disk:vg/a"] && !reports[1].isCheckable)
    }

    @Test func `copies of a file system on one volume each are both checked`() throws {
        let single = "num_devices 1\nlog_root 0\n\n0"
        let lab = InnerLab([single, "\n0", single, "\n1"])
        let copies = ["vg/a", "vg/b"].map { volume($0, "btrfs", uuid: "u") }
        let reports = try lab.runner.check(copies, rehearse: false)
        #expect(reports.map(\.verdict) == [.clean, .damaged])
    }

    @Test func `a part is not called checked where the whole was not`() throws {
        let missing = "here a 1\nmember 1\nmember 2\n\n0"
        let lab = InnerLab([header, missing, header, missing])
        let parts = ["vg/a", "vg/b"].map { volume($0, "btrfs", uuid: "u") }
        let reports = try lab.runner.check(parts, rehearse: false)
        #expect(reports.allSatisfy { $0.verdict == .notCheckable && $0.isCheckable })
        #expect(reports.allSatisfy { $0.checkedAs.isEmpty })
    }
}

/// Launches places that see volumes within others, and answer from a list; nil ends the place.
private final class InnerLab {
    var answers: [String?]
    var device: (String) -> String = { "/dev/\($0)" }
    var launches = 0
    var asked: [String] = []
    var scripts: [String] = []

    init(_ answers: [String?]) { self.answers = answers }

    var runner: CheckRunner {
        CheckRunner { () throws(CheckShellError) in
            self.launches += 1
            return Place(lab: self)
        }
    }

    private final class Place: CheckPlace {
        let lab: InnerLab
        init(lab: InnerLab) { self.lab = lab }

        func device(_ disk: Int) -> String { "/dev/none" }

        func device(ofInner name: String, on disk: Int) throws(CheckShellError) -> String {
            lab.asked.append("\(lab.launches) \(name) \(disk)")
            return lab.device(name)
        }

        func run(_ script: String, seconds: Int) throws(CheckShellError) -> [UInt8] {
            lab.scripts.append(script)
            guard !lab.answers.isEmpty, let text = lab.answers.removeFirst() else {
                throw CheckShellError("the power went")
            }
            return [UInt8](text.utf8)
        }
    }
}
