internal import EngineProtocol

/// What one kind of file system's check found.
public struct Finding: Equatable, Sendable {
    var verdict: Verdict
    var wasDirty = false
    var reason = ""
    var isCheckable = true
    var deviceCount = 1
    var steps: [CheckStep] = []
}

/// How a kind of file system is checked, and how its repair is rehearsed.
///
/// A check may write: it runs on a layer that is thrown away. It has to tell damage from what a
/// crash leaves and the next mount puts right, so it lets the journal be replayed first.
protocol FileSystemCheck {
    /// Replays where needed, runs the checker, judges.
    static func check(_ shell: inout some CheckShell) throws(CheckShellError) -> Finding
    /// Runs the repair on a fresh layer, then the checker again.
    static func rehearse(_ shell: inout some CheckShell) throws(CheckShellError) -> Rehearsal
}

/// Checks and rehearsals, by the type that a volume holds.
public enum Checkers {
    /// Checks the volume behind `shell`, which holds `type` in blkid's words.
    public static func check(
        volume: String,
        type: String,
        _ shell: inout some CheckShell
    ) throws(CheckShellError) -> CheckReport {
        guard let kind = kind(of: type) else { return unchecked(volume: volume, type: type) }
        let finding = try kind.check(&shell)
        return CheckReport(
            volume: volume,
            type: type,
            verdict: finding.verdict,
            wasDirty: finding.wasDirty,
            reason: finding.reason,
            isCheckable: finding.isCheckable,
            deviceCount: finding.deviceCount,
            steps: finding.steps.map(\.bounded)
        )
    }

    /// Tries the repair of a damaged volume; `shell` must be a fresh one.
    public static func rehearse(
        type: String,
        _ shell: inout some CheckShell
    ) throws(CheckShellError) -> Rehearsal {
        guard let kind = kind(of: type) else {
            return Rehearsal(outcome: .noRepair, reason: "There is no repair program for \(type).")
        }
        var rehearsal = try kind.rehearse(&shell)
        rehearsal.steps = rehearsal.steps.map(\.bounded)
        return rehearsal
    }

    /// The report on what needs no appliance, since nothing there could check it; nil for the rest.
    public static func withoutEngine(volume: String, type: String) -> CheckReport? {
        kind(of: type) == nil ? unchecked(volume: volume, type: type) : nil
    }

    private static func kind(of type: String) -> (any FileSystemCheck.Type)? {
        switch type {
        case "ext2", "ext3", "ext4": ExtCheck.self
        case "xfs": XFSCheck.self
        case "btrfs": BtrfsCheck.self
        case "vfat": FATCheck.self
        case "exfat": ExFATCheck.self
        case "ntfs": NTFSCheck.self
        default: nil
        }
    }

    private static func unchecked(volume: String, type: String) -> CheckReport {
        let (reason, isCheckable) = reasonNotToCheck(type)
        return CheckReport(
            volume: volume,
            type: type,
            verdict: .notCheckable,
            reason: reason,
            isCheckable: isCheckable
        )
    }

    private static func reasonNotToCheck(_ type: String) -> (String, isCheckable: Bool) {
        switch type {
        case "": ("Nothing is recognised on it.", false)
        case "swap", "swsuspend": ("Swap space is no file system.", false)
        case "iso9660", "udf", "squashfs":
            ("There is no checker for \(type), which is written once.", false)
        case WorkerVolume.partitionTable:
            ("It has partitions of its own, and these are not looked for.", true)
        case "BitLocker": ("It is encrypted with BitLocker, which is not opened here.", true)
        default: ("There is no checker for \(type) here.", true)
        }
    }
}

extension CheckStep {
    /// The longest text that a report keeps of a program.
    static let textBytesMax = 32 * 1024

    /// The step with no more of its text than a report keeps.
    var bounded: CheckStep {
        guard text.utf8.count > Self.textBytesMax else { return self }
        var step = self
        step.text = String(decoding: text.utf8.prefix(Self.textBytesMax), as: UTF8.self)
        step.isTruncated = true
        return step
    }

    /// The lines of its text, without the blanks around them.
    var lines: [Substring] {
        text.split(whereSeparator: \.isNewline).map { line in
            var line = line
            while line.first?.isWhitespace == true { line.removeFirst() }
            while line.last?.isWhitespace == true { line.removeLast() }
            return line
        }
    }

    /// Whether a line begins like this; a name from the disk never stands at a line's beginning.
    func hasLine(beginning prefix: String) -> Bool { lines.contains { $0.hasPrefix(prefix) } }
}

extension Finding {
    /// The finding where a program did not come to its end, or could not work.
    static func failed(_ step: CheckStep, _ steps: [CheckStep], wasDirty: Bool = false) -> Finding {
        let reason =
            switch step.ending {
            case .timedOut: "\(step.command) did not end in its time."
            case .exited(let code): "\(step.command) could not do its work and ended with \(code)."
            }
        return Finding(
            verdict: .notCheckable,
            wasDirty: wasDirty,
            reason: reason,
            steps: steps
        )
    }
}
