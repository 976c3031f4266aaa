/// btrfs, by `btrfs check`, which ends with 0 where it found nothing and 1 for everything else.
///
/// It judges the metadata; checksums of file contents are for a scrub.
enum BtrfsCheck: FileSystemCheck {
    static func check(_ shell: inout some CheckShell) throws(CheckShellError) -> Finding {
        let header = try shell.run(.header)
        var steps = [header]
        let deviceCount = value("num_devices", header) ?? 1
        if deviceCount > 1 {
            let members = try shell.run(.members)
            steps.append(members)
            if let problem = BtrfsMembers(members).problem(deviceCount) {
                return Finding(
                    verdict: .notCheckable,
                    reason: problem,
                    deviceCount: deviceCount,
                    steps: steps
                )
            }
        }
        var finding = try check(header, &steps, &shell)
        finding.deviceCount = deviceCount
        return finding
    }

    private static func check(
        _ header: CheckStep,
        _ steps: inout [CheckStep],
        _ shell: inout some CheckShell
    ) throws(CheckShellError) -> Finding {
        let isDirty = (value("log_root", header) ?? 0) > 0
        var replay = KernelReplay.done
        var repaired = false
        if isDirty {
            let step = try shell.run(.mountAndUnmount("btrfs"))
            steps.append(step)
            if step.ending == .timedOut { return .failed(step, steps, wasDirty: true) }
            replay = KernelReplay(step)
            repaired = step.lines.contains { $0.contains("checksum verify failed on ") }
        }
        let checked = try shell.run(.check)
        steps.append(checked)
        return verdict(of: checked, replay, wasDirty: isDirty, kernelRepaired: repaired, steps)
    }

    /// What `btrfs check --readonly` means after this replay.
    ///
    /// `kernelRepaired`: the kernel met a bad copy of a block while it replayed and wrote it anew,
    /// so that the checker cannot see it any more.
    static func verdict(
        of step: CheckStep,
        _ replay: KernelReplay,
        wasDirty: Bool,
        kernelRepaired: Bool,
        _ steps: [CheckStep]
    ) -> Finding {
        var finding = Finding(verdict: .clean, wasDirty: wasDirty, steps: steps)
        guard let code = step.code, code == 0 || code == 1 else {
            return .failed(step, steps, wasDirty: wasDirty)
        }
        let unknown = "couldn't open because of unsupported option features "
        if let line = step.lines.first(where: { $0.hasPrefix(unknown) }) {
            finding.verdict = .tooNew
            finding.reason = "btrfs does not know its features \(line.dropFirst(unknown.count))"
        } else if case .tooNew(let line) = replay {
            finding.verdict = .tooNew
            finding.reason = "The kernel of the appliance does not know its features: \(line)"
        } else if code == 1 {
            finding.verdict = .damaged
        } else if kernelRepaired || step.hasLine(beginning: "checksum verify failed on ") {
            finding.verdict = .damaged
            finding.reason = "One copy of a metadata block is bad; the other one is whole."
        } else {
            switch replay {
            case .done: finding.verdict = wasDirty ? .cleanAfterReplay : .clean
            case .damaged(let line):
                finding.verdict = .damaged
                finding.reason = "Its log cannot be replayed: \(line)"
            case .refused(let line), .blockSize(let line), .tooNew(let line):
                finding.verdict = .notCheckable
                finding.reason = "It has a log, and the kernel does not mount it: \(line)"
            }
        }
        return finding
    }

    private static func value(_ name: String, _ header: CheckStep) -> Int? {
        for line in header.lines {
            let words = line.split(whereSeparator: \.isWhitespace)
            if words.count == 2, words[0] == name { return Int(words[1]) }
        }
        return nil
    }

    static func rehearse(_ shell: inout some CheckShell) throws(CheckShellError) -> Rehearsal {
        var steps = [try shell.run(.recover), try shell.run(.scrub)]
        let repair = try shell.run(.repair)
        let check = try shell.run(.check)
        steps += [repair, check]
        let found = try shell.run(.lostAndFound("btrfs", options: "nologreplay"))
        steps.append(found)
        return RepairReading(
            isClean: check.code == 0 && !check.hasLine(beginning: "checksum verify failed on "),
            moved: found.namesMoved,
            losses: repair.lines(holding: Self.losses)
        ).rehearsal(steps)
    }

    private static let losses = ["Deleting bad ", "deleting ", "Unlinking", "unresolved ref"]
}

extension CheckCommand {
    fileprivate static var header: CheckCommand {
        CheckCommand(
            "btrfs inspect-internal dump-super",
            script: "btrfs inspect-internal dump-super $d",
            pace: .short
        )
    }
    fileprivate static var check: CheckCommand { CheckCommand("btrfs check --readonly") }
    /// What ``BtrfsMembers`` reads; the kernel knows all members from here on.
    fileprivate static var members: CheckCommand {
        CheckCommand(
            "btrfs device scan",
            script: """
                btrfs device scan >/dev/null 2>&1
                u=$(blkid -c /dev/null -p -s UUID -o value $d)
                for p in $(blkid -c /dev/null -o device -t UUID=$u); do
                btrfs inspect-internal dump-super $p \\
                | sed -n "s|^dev_item.devid[[:space:]]*|here $p |p"
                done
                btrfs inspect-internal dump-tree -t chunk $d \\
                | sed -n 's/.*(DEV_ITEMS DEV_ITEM \\([0-9]*\\)).*/member \\1/p'
                """,
            pace: .short
        )
    }

    /// Where there are several devices, the kernel has to know all before it mounts one.
    fileprivate static var recover: CheckCommand {
        CheckCommand(
            "btrfs rescue super-recover -y",
            script: """
                n=$(btrfs inspect-internal dump-super $d | sed -n 's/^num_devices[[:space:]]*//p')
                [ "$n" = 1 ] || btrfs device scan >/dev/null 2>&1
                btrfs rescue super-recover -y $d
                """,
            pace: .short
        )
    }

    /// Writes the bad one of two copies anew, which the repair does not.
    fileprivate static var scrub: CheckCommand {
        CheckCommand(
            "btrfs scrub start -B",
            script: """
                mkdir -p $m; mount -t btrfs -o nosuid,nodev,noexec $d $m || exit 32
                btrfs scrub start -B $m; e=$?; umount $m; exit $e
                """
        )
    }

    fileprivate static var repair: CheckCommand { CheckCommand("btrfs check --repair --force") }
}
