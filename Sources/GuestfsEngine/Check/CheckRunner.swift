package import Checkers

/// Checks volumes in appliances of its own, and rehearses repairs in another one.
package struct CheckRunner: VolumeChecking {
    private let disks: [CheckDisk]

    /// Takes the disks in the order by which the volumes name them.
    package init(disks: [CheckDisk]) { self.disks = disks }

    package func check(
        _ volumes: [CheckVolume],
        rehearse: Bool
    ) throws(CheckShellError) -> [CheckReport] {
        guard volumes.allSatisfy({ disks.indices.contains($0.disk) }) else {
            throw CheckShellError("a volume is on a disk that there is not")
        }
        var reports = try checked(volumes)
        guard rehearse else { return reports }
        // A check has written to its layer: the repair begins on a fresh one.
        var launched: CheckAppliance?
        for (index, report) in reports.enumerated() where report.verdict == .damaged {
            do throws(CheckShellError) {
                let appliance = try appliance(launched)
                launched = appliance
                var shell = try ApplianceShell(volumes[index], in: appliance)
                reports[index].rehearsal = try Checkers.rehearse(type: report.type, &shell)
            } catch {
                launched = nil
                reports[index].rehearsal = Rehearsal(
                    outcome: .notRepairable,
                    reason: "The appliance failed under the repair: \(error.reason)."
                )
            }
        }
        return reports
    }

    /// A volume that takes the appliance down with it does not take the other volumes' answers.
    private func checked(_ volumes: [CheckVolume]) throws(CheckShellError) -> [CheckReport] {
        var launched: CheckAppliance? = try CheckAppliance(disks)
        var reports: [CheckReport] = []
        for volume in volumes {
            do throws(CheckShellError) {
                let appliance = try appliance(launched)
                launched = appliance
                var shell = try ApplianceShell(volume, in: appliance)
                reports.append(
                    try Checkers.check(volume: volume.name, type: volume.type, &shell)
                )
            } catch {
                launched = nil
                let reason = "The appliance failed under the check: \(error.reason)."
                reports.append(
                    CheckReport(
                        volume: volume.name,
                        type: volume.type,
                        verdict: .notCheckable,
                        reason: reason
                    )
                )
            }
        }
        return reports
    }

    private func appliance(
        _ launched: CheckAppliance?
    ) throws(CheckShellError) -> CheckAppliance {
        if let launched { return launched }
        return try CheckAppliance(disks)
    }
}
