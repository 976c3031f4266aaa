/// NTFS: only its dirty flag can be told.
///
/// No free program checks NTFS. `ntfsfix -n` is none: it ends with 0 on badly damaged volumes.
enum NTFSCheck: FileSystemCheck {
    static func check(_ shell: inout some CheckShell) throws(CheckShellError) -> Finding {
        let step = try shell.run(.volumeInformation)
        return verdict(of: step)
    }

    /// What `ntfsinfo -fm` shows.
    static func verdict(of step: CheckStep) -> Finding {
        guard let flags = step.lines.first(where: { $0.hasPrefix("Volume Flags: ") }) else {
            let reason =
                step.hasLine(beginning: "NTFS is inconsistent.")
                ? "ntfsinfo cannot open it and calls it inconsistent; only chkdsk in Windows can say."
                : "ntfsinfo cannot open it; only chkdsk in Windows can check it."
            return Finding(verdict: .notCheckable, reason: reason, steps: [step])
        }
        let isDirty = flags.split(separator: " ").contains("DIRTY")
        return Finding(
            verdict: .notCheckable,
            wasDirty: isDirty,
            reason: isDirty
                ? "Its dirty flag is set; only chkdsk in Windows can check it."
                : "Its dirty flag is not set; only chkdsk in Windows can check more.",
            steps: [step]
        )
    }

    static func rehearse(_ shell: inout some CheckShell) throws(CheckShellError) -> Rehearsal {
        Rehearsal(outcome: .noRepair, reason: "Only chkdsk in Windows repairs NTFS.")
    }
}

extension CheckCommand {
    fileprivate static var volumeInformation: CheckCommand {
        CheckCommand("ntfsinfo -fm", pace: .short)
    }
}
