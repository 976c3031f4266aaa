import Testing

@testable import Checkers

@Suite struct VerdictTests {
    @Test func `the recordings are there, of every kind`() {
        let kinds = Set(Recording.all.map(\.type))
        #expect(kinds.isSuperset(of: ["ext2", "ext4", "xfs", "btrfs", "vfat", "exfat", "ntfs"]))
        let verdicts = Set(Recording.all.map(\.verdict))
        #expect(verdicts == Set(Verdict.allCases.map(\.rawValue)))
    }

    @Test(arguments: Recording.all)
    func `what was recorded leads to the verdict that the image was made for`(
        _ recording: Recording
    ) throws {
        var shell = recording.shell
        let report = try Checkers.check(volume: "v", type: recording.type, &shell)
        #expect(report.verdict.rawValue == recording.verdict)
        #expect(report.wasDirty == recording.dirty)
        #expect(shell.steps.isEmpty, "all that was recorded is used")
    }

    @Test(arguments: Recording.all)
    func `no verdict speaks of soundness where the last program did not come to its end`(
        _ recording: Recording
    ) throws {
        var shell = recording.shell
        let last = shell.steps.count - 1
        shell.steps[last].ending = .timedOut
        shell.steps[last].text = ""
        let report = try Checkers.check(volume: "v", type: recording.type, &shell)
        #expect(report.verdict == .notCheckable)
        #expect(!report.reason.isEmpty)
    }

    @Test(arguments: Recording.all)
    func `an exit code that no manual names is not taken for clean or damaged`(
        _ recording: Recording
    ) throws {
        var shell = recording.shell
        let last = shell.steps.count - 1
        shell.steps[last].ending = .exited(16)
        shell.steps[last].text = "usage"
        let report = try Checkers.check(volume: "v", type: recording.type, &shell)
        #expect(report.verdict == .notCheckable)
    }

    @Test(arguments: ["ext4-dirty", "xfs-dirty", "btrfs-dirty-log", "fat32-dirty", "exfat-dirty"])
    func `a volume that is only dirty is not called damaged, and is called dirty`(
        _ name: String
    ) throws {
        let recording = try Recording.named(name)
        var shell = recording.shell
        let report = try Checkers.check(volume: "v", type: recording.type, &shell)
        #expect(report.verdict == .clean || report.verdict == .cleanAfterReplay)
        #expect(report.wasDirty)
    }

    @Test(arguments: ["ext4-dirty", "xfs-dirty", "btrfs-dirty-log"])
    func `a dirty volume that the kernel does not mount for another reason is not judged`(
        _ name: String
    ) throws {
        let recording = try Recording.named(name)
        var shell = recording.shell
        let index = try #require(shell.steps.firstIndex { $0.command.hasPrefix("mount ") })
        shell.steps[index].ending = .exited(32)
        shell.steps[index].text =
            "mount: /run/m: mount(2) system call failed: Cannot allocate memory."
        let report = try Checkers.check(volume: "v", type: recording.type, &shell)
        #expect(report.verdict == .notCheckable)
        #expect(report.reason.contains("Cannot allocate memory"))
    }

    @Test func `a file's name in a checker's text does not make a volume too new`() {
        let texts = [
            "Entry 'e2fsck: Get a newer version of e2fsck!' in / (2) has deleted/unused inode 12.",
            "Entry 'x has unsupported feature(s): y' in / (2) has deleted/unused inode 12.",
        ]
        for text in texts {
            let step = CheckStep(command: "e2fsck -fn", ending: .exited(12), text: text)
            #expect(ExtCheck.verdict(of: step, wasReplayed: false, []).verdict == .damaged)
        }
        let name = "entry \"Superblock has unknown compat/rocompat/incompat features \" in dir 1"
        let xfs = CheckStep(command: "xfs_repair -n", ending: .exited(1), text: name)
        #expect(XFSCheck.verdict(of: xfs, .done, wasDirty: false, []).verdict == .damaged)
        let btrfs = CheckStep(
            command: "btrfs check",
            ending: .exited(1),
            text: "root 5 name couldn't open because of unsupported option features (1)"
        )
        let found = BtrfsCheck.verdict(
            of: btrfs,
            .done,
            wasDirty: false,
            kernelRepaired: false,
            []
        )
        #expect(found.verdict == .damaged)
    }

    @Test func `exit codes of e2fsck are sums`() {
        func verdict(_ code: Int, _ text: String = "") -> Verdict {
            let step = CheckStep(command: "e2fsck -fn", ending: .exited(code), text: text)
            return ExtCheck.verdict(of: step, wasReplayed: false, []).verdict
        }
        #expect(verdict(0) == .clean)
        #expect(verdict(4) == .damaged)
        #expect(verdict(12) == .damaged)
        #expect(verdict(8) == .notCheckable)
        #expect(verdict(8, "e2fsck: Get a newer version of e2fsck!") == .tooNew)
        #expect(verdict(12, "e2fsck: Get a newer version of e2fsck!") == .tooNew)
        for code in [16, 32, 128, 127, 255] where code & 4 == 0 {
            #expect(verdict(code) == .notCheckable, "\(code)")
        }
    }

    @Test func `what has no checker is not checkable, and only what hides files counts`() {
        let expected: [(String, Bool)] = [
            ("", false), ("swap", false), ("iso9660", false), ("squashfs", false), ("udf", false),
            ("LVM2_member", true), ("crypto_LUKS", true), ("zfs_member", true), ("jfs", true),
        ]
        for (type, counts) in expected {
            let report = Checkers.withoutEngine(volume: "v", type: type)
            #expect(report?.verdict == .notCheckable)
            #expect(report?.isCheckable == counts, "\(type)")
        }
        for type in ["ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "exfat", "ntfs"] {
            #expect(Checkers.withoutEngine(volume: "v", type: type) == nil)
        }
    }

    @Test func `a long text is cut, and says so`() throws {
        let recording = try Recording.named("ext4-unattached")
        var shell = recording.shell
        let last = shell.steps.count - 1
        shell.steps[last].text = String(repeating: "🧤", count: 100_000)
        let report = try Checkers.check(volume: "v", type: "ext4", &shell)
        let step = try #require(report.steps.last)
        #expect(step.isTruncated)
        #expect(step.text.utf8.count <= CheckStep.textBytesMax + 16)
    }
}
