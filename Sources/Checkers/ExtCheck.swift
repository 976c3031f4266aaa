/// ext2, ext3 and ext4, by e2fsck.
///
/// e2fsck(8), exit code: 0 no errors, 1 errors corrected, 2 corrected and the system should be
/// rebooted, 4 errors left, 8 operational error, 16 usage, 32 cancelled, 128 library; a sum of them.
enum ExtCheck: FileSystemCheck {
    static func check(_ shell: inout some CheckShell) throws(CheckShellError) -> Finding {
        let header = try shell.run(.header)
        let isDirty = needsReplay(header)
        var steps = [header]
        if isDirty {
            let replay = try shell.run(.mountAndUnmount("ext4"))
            steps.append(replay)
            if let end = try replayed(replay, &steps, &shell) { return end }
        }
        let checked = try shell.run(.check)
        steps.append(checked)
        var finding = verdict(of: checked, wasReplayed: isDirty, steps)
        if !isDirty, finding.verdict == .clean { note(header, in: &finding) }
        return finding
    }

    /// Nil where the check can go on; otherwise what the failed replay means.
    ///
    /// e2fsck's own replay would hide damage, since it also repairs the journal: it is only for
    /// block sizes that the kernel does not mount. It also leaves the orphan file unclean (1.47.0).
    private static func replayed(
        _ replay: CheckStep,
        _ steps: inout [CheckStep],
        _ shell: inout some CheckShell
    ) throws(CheckShellError) -> Finding? {
        let reason: String
        switch KernelReplay(replay) {
        case .done: return nil
        case .tooNew(let line), .damaged(let line), .refused(let line): reason = line
        case .blockSize:
            let step = try shell.run(.journalOnly)
            steps.append(step)
            if step.code == 0 { return nil }
            reason = "e2fsck could not replay the journal either."
        }
        if replay.ending == .timedOut { return .failed(replay, steps, wasDirty: true) }
        let checked = try shell.run(.check)
        steps.append(checked)
        var finding = verdict(of: checked, wasReplayed: true, steps)
        finding.wasDirty = true
        if finding.verdict == .cleanAfterReplay {
            let isDamage = if case .damaged = KernelReplay(replay) { true } else { false }
            finding.verdict = isDamage ? .damaged : .notCheckable
        }
        if finding.verdict != .tooNew {
            finding.reason = "Its journal cannot be replayed: \(reason)"
        }
        return finding
    }

    /// What `e2fsck -fn` means.
    static func verdict(of step: CheckStep, wasReplayed: Bool, _ steps: [CheckStep]) -> Finding {
        var finding = Finding(verdict: .clean, wasDirty: wasReplayed, steps: steps)
        guard let code = step.code else { return .failed(step, steps, wasDirty: wasReplayed) }
        if code & 8 != 0, step.hasLine(beginning: "e2fsck: Get a newer version of e2fsck!") {
            finding.verdict = .tooNew
            finding.reason = "e2fsck does not know all of its features."
            let unknown = "has unsupported feature(s): "
            if let line = step.lines.first(where: { $0.contains(unknown) }),
                let names = line.split(separator: ": ").last
            {
                finding.reason = "e2fsck does not know its features \(names)."
            }
        } else if code & 4 != 0 {
            finding.verdict = .damaged
        } else if code & 8 != 0, superblockIsLost(step) {
            finding.verdict = .damaged
            finding.reason = "Its superblock does not describe a file system."
        } else if code != 0 {
            return .failed(step, steps, wasDirty: wasReplayed)
        } else if wasReplayed {
            finding.verdict = .cleanAfterReplay
        }
        return finding
    }

    private static func superblockIsLost(_ step: CheckStep) -> Bool {
        step.hasLine(beginning: "The superblock could not be read or does not describe a valid")
            || step.hasLine(beginning: "e2fsck: The journal superblock is corrupt")
    }

    private static func needsReplay(_ header: CheckStep) -> Bool {
        field("Filesystem features", of: header).split(separator: " ").contains {
            $0 == "needs_recovery" || $0 == "orphan_present"
        } || !field("First orphan inode", of: header).isEmpty
    }

    /// The value of a line `Name:   value` of dumpe2fs; the first counts, a label stands later.
    private static func field(_ name: String, of header: CheckStep) -> String {
        guard let line = header.lines.first(where: { $0.hasPrefix("\(name):") }) else { return "" }
        return String(line.dropFirst(name.count + 1).drop(while: \.isWhitespace))
    }

    private static func note(_ header: CheckStep, in finding: inout Finding) {
        switch field("Filesystem state", of: header) {
        case "not clean", "not clean with errors":
            finding.wasDirty = true
            finding.reason = "It was not unmounted; it has no journal, and nothing is wrong."
        case "clean with errors":
            finding.reason = "The guest's kernel once noted an error; nothing is wrong now."
        default: break
        }
    }

    static func rehearse(_ shell: inout some CheckShell) throws(CheckShellError) -> Rehearsal {
        let before = try shell.run(.extLostAndFound)
        let repair = try shell.run(CheckCommand("e2fsck -fy"))
        let check = try shell.run(.check)
        let after = try shell.run(.extLostAndFound)
        let names = entries(after).filter { !entries(before).contains($0) }
        let isClean = verdict(of: check, wasReplayed: false, []).verdict == .clean
        return RepairReading(isClean: isClean, moved: names, losses: losses(repair))
            .rehearsal([before, repair, check, after])
    }

    /// The names that `debugfs ls -p` gives: `/inode/mode/uid/gid/name/size/`; a removed entry has
    /// inode 0.
    private static func entries(_ step: CheckStep) -> [String] {
        step.lines.compactMap { line in
            let fields = line.split(separator: "/", omittingEmptySubsequences: false)
            guard fields.count == 8, let inode = Int(fields[1]), inode != 0 else { return nil }
            return fields[5] == "." || fields[5] == ".." ? nil : String(fields[5])
        }
    }

    /// What e2fsck says where it removes or shortens something of the user's, or cannot know whose
    /// content a file has now: blocks that two files claimed are copied, so that each has them.
    private static func losses(_ repair: CheckStep) -> [String] {
        let removes = [
            "Clear? yes", "Clear inode? yes", "Truncate? yes", "Salvage? yes", "Delete file? yes",
        ]
        let bookkeeping = ["Journal inode", "Superblock", "Resize inode"] + removes
        let lines = repair.lines
        return lines.indices.compactMap { index in
            let line = lines[index]
            let next = index + 1 < lines.count ? lines[index + 1] : ""
            if line.hasPrefix("File "), next.hasPrefix("has "), next.contains("multiply-claimed") {
                return "\(line) \(next)"
            }
            let isLoss = removes.contains { line.contains($0) }
            return isLoss && !bookkeeping.contains { line.hasPrefix($0) } ? String(line) : nil
        }
    }
}

extension CheckCommand {
    fileprivate static var header: CheckCommand { CheckCommand("dumpe2fs -h", pace: .short) }
    fileprivate static var journalOnly: CheckCommand { CheckCommand("e2fsck -p -E journal_only") }
    fileprivate static var check: CheckCommand { CheckCommand("e2fsck -fn") }
    fileprivate static var extLostAndFound: CheckCommand {
        CheckCommand(
            "ls lost+found",
            script: "debugfs -R 'ls -p /lost+found' $d 2>/dev/null",
            pace: .short
        )
    }
}
