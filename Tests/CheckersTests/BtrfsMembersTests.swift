import Testing

@testable import Checkers

@Suite struct BtrfsMembersTests {
    private static let header = CheckStep(
        command: "btrfs inspect-internal dump-super",
        ending: .exited(0),
        text: "num_devices\t\t2\nlog_root\t\t0\n"
    )

    private func step(_ text: String) -> CheckStep {
        CheckStep(command: "btrfs device scan", ending: .exited(0), text: text)
    }

    private func problem(_ text: String, of count: Int = 2) -> String? {
        BtrfsMembers(step(text)).problem(count)
    }

    @Test func `all devices that the chunk tree names have to be there`() {
        let tree = "member 1\nmember 3\n"
        #expect(problem("here /dev/sda 1\nhere /dev/mapper/vg-b 3\n" + tree) == nil)
        #expect(problem("here /dev/sda 1\n" + tree)?.contains("device 3 is missing") == true)
        #expect(problem("member 1\nmember 3\n")?.contains("devices 1, 3 are missing") == true)
    }

    @Test func `where the chunk tree cannot be read, their number counts`() {
        #expect(problem("here /dev/sda 1\n")?.contains("only 1 can be seen") == true)
        #expect(problem("ERROR: cannot open\n")?.contains("only 0 can be seen") == true)
        #expect(problem("here /dev/sda 1\nhere /dev/sdb 2\n") == nil)
    }

    @Test func `a copy of a device is not taken for another one`() {
        let text = "here /dev/sda 1\nhere /dev/sdb 1\nhere /dev/sdc 2\nmember 1\nmember 2\n"
        #expect(problem(text)?.contains("more than one that calls itself device 1") == true)
    }

    @Test func `without all of them no checker runs`() throws {
        let text = "here /dev/sda 1\nmember 1\nmember 2\n"
        var shell = RecordedShell(steps: [Self.header, step(text)])
        let report = try Checkers.check(volume: "v", type: "btrfs", &shell)
        #expect(report.verdict == .notCheckable && report.isCheckable)
        #expect(report.reason.contains("device 2 is missing"))
        #expect(report.deviceCount == 2)
    }

    @Test func `with all of them it is checked as one`() throws {
        let text = "here /dev/sda 1\nhere /dev/sdb 2\nmember 1\nmember 2\n"
        let check = CheckStep(command: "btrfs check --readonly", ending: .exited(0), text: "")
        var shell = RecordedShell(steps: [Self.header, step(text), check])
        let report = try Checkers.check(volume: "v", type: "btrfs", &shell)
        #expect(report.verdict == .clean && report.deviceCount == 2)
    }
}
