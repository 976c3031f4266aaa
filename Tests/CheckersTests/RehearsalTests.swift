import Testing

@testable import Checkers

@Suite struct RehearsalTests {
    static let rehearsed = Recording.all.filter { $0.rehearsal != nil }

    @Test(arguments: rehearsed)
    func `what a repair said leads to the outcome that was recorded`(
        _ recording: Recording
    ) throws {
        let recorded = try #require(recording.rehearsal)
        var shell = RecordedShell(steps: recorded.steps.map(\.step))
        let rehearsal = try Checkers.rehearse(type: recording.type, &shell)
        #expect(rehearsal.outcome.rawValue == recorded.outcome)
        #expect(rehearsal.moved == recorded.moved)
        #expect(rehearsal.lost == recorded.lost)
    }

    @Test func `a repair is only called fixed where a second check finds nothing`() throws {
        for recording in Self.rehearsed {
            let recorded = try #require(recording.rehearsal)
            var steps = recorded.steps.map(\.step)
            let check = steps.lastIndex {
                ["-fn", "-n", "readonly"].contains(where: $0.command.hasSuffix)
            }
            guard let check else { continue }
            steps[check].ending = .exited(recording.type.hasPrefix("ext") ? 4 : 1)
            var shell = RecordedShell(steps: steps)
            let rehearsal = try Checkers.rehearse(type: recording.type, &shell)
            #expect(rehearsal.outcome == .notRepairable, "\(recording.volume)")
        }
    }

    @Test func `files in lost and found are counted and named`() throws {
        let recorded = try #require(try Recording.named("ext4-unattached").rehearsal)
        var shell = RecordedShell(steps: recorded.steps.map(\.step))
        let rehearsal = try Checkers.rehearse(type: "ext4", &shell)
        #expect(rehearsal.outcome == .fixedWithLosses)
        #expect(rehearsal.moved == ["#12", "#14"])
    }

    @Test func `what fsck.fat shortens is named with its path`() throws {
        let recorded = try #require(try Recording.named("fat16-entry-size").rehearsal)
        var shell = RecordedShell(steps: recorded.steps.map(\.step))
        let rehearsal = try Checkers.rehearse(type: "vfat", &shell)
        #expect(rehearsal.lost == ["/DATA: Truncating file to 1048576 bytes."])
    }

    @Test func `throwing an XFS log away is a loss`() throws {
        let done = { CheckStep(command: $0, ending: .exited($1), text: "") }
        var shell = RecordedShell(steps: [
            done("mount -t xfs", 32), done("xfs_repair", 2), done("xfs_repair -L", 0),
            done("xfs_repair -n", 0), done("ls lost+found", 0),
        ])
        let rehearsal = try Checkers.rehearse(type: "xfs", &shell)
        #expect(rehearsal.outcome == .fixedWithLosses)
        #expect(rehearsal.lostCount == 1)
    }
}
