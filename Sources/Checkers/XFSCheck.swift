/// XFS, by xfs_repair.
///
/// xfs_repair(8): `-n` ends with 1 where it found corruption, 0 where not; it does not replay the
/// log and then reports what only the log explains, so the kernel replays it first. Without `-n`:
/// 0 repaired, 1 failed, 2 the log is dirty.
enum XFSCheck: FileSystemCheck {
    static func check(_ shell: inout some CheckShell) throws(CheckShellError) -> Finding {
        let log = try shell.run(.log)
        var steps = [log]
        let isClean = log.lines.contains { $0.hasPrefix("log tail: ") && $0.hasSuffix("<CLEAN>") }
        let isDirty = log.lines.contains { $0.hasPrefix("log tail: ") && $0.hasSuffix("<DIRTY>") }
        var replay = KernelReplay.done
        if !isClean {
            let step = try shell.run(.mountAndUnmount("xfs"))
            steps.append(step)
            if step.ending == .timedOut { return .failed(step, steps, wasDirty: isDirty) }
            replay = KernelReplay(step)
        }
        let checked = try shell.run(.check)
        steps.append(checked)
        return verdict(of: checked, replay, wasDirty: isDirty, steps)
    }

    /// What `xfs_repair -n` means after this replay.
    static func verdict(
        of step: CheckStep,
        _ replay: KernelReplay,
        wasDirty: Bool,
        _ steps: [CheckStep]
    ) -> Finding {
        var finding = Finding(verdict: .clean, wasDirty: wasDirty, steps: steps)
        guard let code = step.code, code == 0 || code == 1 else {
            return .failed(step, steps, wasDirty: wasDirty)
        }
        let unknown = "Superblock has unknown compat/rocompat/incompat features "
        if code == 1, let line = step.lines.first(where: { $0.hasPrefix(unknown) }) {
            finding.verdict = .tooNew
            finding.reason =
                "xfs_repair does not know its features \(line.dropFirst(unknown.count))"
            return finding
        }
        switch replay {
        case .done:
            finding.verdict = code == 1 ? .damaged : wasDirty ? .cleanAfterReplay : .clean
        case .damaged(let line):
            finding.verdict = .damaged
            finding.reason = "Its log cannot be replayed: \(line)"
        case .tooNew(let line):
            finding.verdict = .tooNew
            finding.reason = "The kernel of the appliance does not know its features: \(line)"
        case .refused(let line), .blockSize(let line):
            finding.verdict = .notCheckable
            finding.reason = "Its log may need a replay, and the kernel does not mount it: \(line)"
        }
        return finding
    }

    static func rehearse(_ shell: inout some CheckShell) throws(CheckShellError) -> Rehearsal {
        let replay = try shell.run(.mountAndUnmount("xfs"))
        var repair = try shell.run(CheckCommand("xfs_repair"))
        var steps = [replay, repair]
        var losses: [String] = []
        if repair.code == 2 {
            // Only zeroing the log lets it go on; what stands in the log alone is lost.
            repair = try shell.run(CheckCommand("xfs_repair -L"))
            steps.append(repair)
            losses.append("the log was thrown away, with all changes that stood in it alone")
        }
        let check = try shell.run(.check)
        steps.append(check)
        let found = try shell.run(.lostAndFound("xfs", options: "norecovery"))
        steps.append(found)
        losses += repair.lines(holding: Self.losses)
        return RepairReading(
            isClean: repair.code == 0 && check.code == 0,
            moved: found.namesMoved,
            losses: losses
        ).rehearsal(steps)
    }

    private static let losses = [
        "cleared inode ", "clearing inode ", "junking ", "cleared root inode",
    ]
}

extension CheckCommand {
    fileprivate static var log: CheckCommand {
        CheckCommand("xfs_logprint -t", script: "xfs_logprint -t $d | head -n 8", pace: .short)
    }
    fileprivate static var check: CheckCommand { CheckCommand("xfs_repair -n") }
}
