/// exFAT, by fsck.exfat: 0 nothing found, 1 corrected, 4 errors left, 8 operational error, 16 usage.
enum ExFATCheck: FileSystemCheck {
    static func check(_ shell: inout some CheckShell) throws(CheckShellError) -> Finding {
        let flags = try shell.run(.volumeFlags)
        let checked = try shell.run(.check)
        let byte = flags.code == 0 ? flags.lines.first.flatMap { UInt8($0, radix: 16) } : nil
        return verdict(of: checked, wasDirty: (byte ?? 0) & 2 != 0, [flags, checked])
    }

    /// What `fsck.exfat -n` means; it does not look at the dirty flag.
    static func verdict(of step: CheckStep, wasDirty: Bool, _ steps: [CheckStep]) -> Finding {
        var finding = Finding(verdict: .clean, wasDirty: wasDirty, steps: steps)
        switch step.code {
        case 0 where wasDirty:
            finding.reason = "It was not unmounted; it has no journal, and nothing is wrong."
        case 0: break
        case 1?, 4?, 5?: finding.verdict = .damaged
        case 8 where step.hasLine(beginning: "Bad fs_name in boot sector"):
            finding.verdict = .damaged
            finding.reason = "Its boot sector does not describe a file system."
        default: return .failed(step, steps, wasDirty: wasDirty)
        }
        return finding
    }

    static func rehearse(_ shell: inout some CheckShell) throws(CheckShellError) -> Rehearsal {
        let repair = try shell.run(CheckCommand("fsck.exfat -y"))
        let check = try shell.run(.check)
        let losses = repair.lines.filter { $0.contains("elete") || $0.contains("runcate") }
        return RepairReading(
            isClean: check.code == 0,
            moved: [],
            losses: losses.map { String($0) }
        ).rehearsal([repair, check])
    }
}

extension CheckCommand {
    fileprivate static var check: CheckCommand { CheckCommand("fsck.exfat -n") }

    /// VolumeFlags, 16 bits at 106; bit 1 is VolumeDirty ("exFAT file system specification", 3.1.13).
    fileprivate static var volumeFlags: CheckCommand {
        CheckCommand(
            "read the volume's flags",
            script: "od -A n -t x1 -j 106 -N 1 $d",
            pace: .short
        )
    }
}
