/// FAT, by fsck.fat.
///
/// fsck.fat(8): 0 no error that it would correct, 1 recoverable errors or an inconsistency in itself,
/// 2 usage. A dirty flag alone is such an error, so the flag is cleared on the throw-away layer and
/// the check repeated: what is left is damage.
enum FATCheck: FileSystemCheck {
    static func check(_ shell: inout some CheckShell) throws(CheckShellError) -> Finding {
        let first = try shell.run(.check)
        guard first.code == 1, first.hasLine(beginning: "Dirty bit is set.") else {
            return verdict(of: first, wasDirty: false, [first])
        }
        let clearing = try shell.run(.clearDirtyFlag)
        guard clearing.code == 0 else { return .failed(clearing, [first, clearing]) }
        let second = try shell.run(.check)
        return verdict(of: second, wasDirty: true, [first, clearing, second])
    }

    /// What `fsck.fat -n` means once no dirty flag is set.
    static func verdict(of step: CheckStep, wasDirty: Bool, _ steps: [CheckStep]) -> Finding {
        var finding = Finding(verdict: .clean, wasDirty: wasDirty, steps: steps)
        switch step.code {
        case 0 where wasDirty:
            finding.reason = "It was not unmounted; it has no journal, and nothing is wrong."
        case 0 where step.hasLine(beginning: "There are differences between boot sector and its"):
            finding.reason = "The boot sector's backup differs, which fsck.fat calls harmless."
        case 0: break
        case 1 where isUnfit(step): return .failed(step, steps, wasDirty: wasDirty)
        case 1: finding.verdict = .damaged
        default: return .failed(step, steps, wasDirty: wasDirty)
        }
        return finding
    }

    /// fsck.fat also ends with 1 where it could not read or had no memory.
    private static func isUnfit(_ step: CheckStep) -> Bool {
        step.hasLine(beginning: "malloc") || step.lines.contains { $0.hasPrefix("open: ") }
    }

    static func rehearse(_ shell: inout some CheckShell) throws(CheckShellError) -> Rehearsal {
        let repair = try shell.run(CheckCommand("fsck.fat -a"))
        let check = try shell.run(.check)
        return RepairReading(isClean: check.code == 0, moved: [], losses: losses(repair))
            .rehearsal([repair, check])
    }

    /// fsck.fat names the file on a line of its own and says below what it does to it.
    private static func losses(_ repair: CheckStep) -> [String] {
        let verbs = ["Truncating", "Deleting", "Dropping", "Removing", "Renaming", "Reclaimed"]
        var losses: [String] = []
        var path = ""
        for line in repair.text.split(whereSeparator: \.isNewline) {
            if line.hasPrefix("/") { path = String(line) }
            let said = line.drop(while: \.isWhitespace)
            guard verbs.contains(where: { said.hasPrefix($0) }) else { continue }
            losses.append(line.first?.isWhitespace == true ? "\(path): \(said)" : String(said))
        }
        return losses
    }
}

extension CheckCommand {
    fileprivate static var check: CheckCommand { CheckCommand("fsck.fat -n") }

    /// Bit 0 of the byte at 0x25, on FAT32 (no 16-bit FAT size, at 0x16) at 0x41: "Microsoft FAT
    /// Specification", BS_Reserved1, as Linux uses it.
    fileprivate static var clearDirtyFlag: CheckCommand {
        CheckCommand(
            "clear the dirty flag",
            script: """
                short=$(od -A n -t u2 -j 22 -N 2 $d | tr -d ' '); at=37; [ "$short" = 0 ] && at=65
                byte=$(od -A n -t u1 -j $at -N 1 $d | tr -d ' ')
                printf "\\\\$(printf %03o $((byte & 254)))" \
                | dd of=$d bs=1 seek=$at conv=notrunc status=none
                """,
            pace: .short
        )
    }
}
