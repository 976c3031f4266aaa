package import Checkers

/// A running appliance, as checks need it: its layers over the disks are its own, and gone with it.
package protocol CheckPlace: AnyObject {
    /// The path in the appliance of the disk with this number.
    func device(_ disk: Int) -> String
    /// The path of a volume that lies within others, `vg/root`, of the disk with this number.
    func device(ofInner name: String, on disk: Int) throws(CheckShellError) -> String
    /// Runs a script with the appliance's shell and gives what it wrote; ends the whole appliance
    /// where that takes longer than `seconds`.
    func run(_ script: String, seconds: Int) throws(CheckShellError) -> [UInt8]
}

extension CheckPlace {
    package func device(ofInner name: String, on disk: Int) throws(CheckShellError) -> String {
        throw CheckShellError("no volumes within others are seen here")
    }
}

/// Checks volumes in an appliance, and rehearses repairs in another one.
package final class CheckRunner: VolumeChecking {
    private let launch: () throws(CheckShellError) -> any CheckPlace
    private let progress: (String) -> Void
    private var running: (any CheckPlace)?

    /// Takes what launches a fresh appliance on the disks that the volumes are on.
    package init(
        progress: @escaping (String) -> Void = { _ in },
        launch: @escaping () throws(CheckShellError) -> any CheckPlace
    ) {
        self.progress = progress
        self.launch = launch
    }

    package func check(
        _ volumes: [CheckVolume],
        rehearse: Bool
    ) throws(CheckShellError) -> [CheckReport] {
        running = try launch()
        defer { running = nil }
        var reports: [CheckReport] = []
        for volume in volumes {
            if let whole = Self.report(on: volume, among: reports, of: volumes) {
                reports.append(whole)
                continue
            }
            progress("checking \(volume.name)")
            reports.append(check(volume))
        }
        guard rehearse else { return reports }
        // A check has written to its layer: the repair begins on a fresh one.
        running = nil
        for (index, report) in reports.enumerated() where report.verdict == .damaged {
            progress("rehearsing the repair of \(report.volume)")
            reports[index].rehearsal = rehearsal(of: volumes[index])
        }
        return reports
    }

    /// The report on a volume that is a part of a file system over several, where that has a verdict
    /// already.
    private static func report(
        on volume: CheckVolume,
        among reports: [CheckReport],
        of volumes: [CheckVolume]
    ) -> CheckReport? {
        let whole = zip(volumes, reports).first { other, report in
            guard !volume.uuid.isEmpty, other.uuid == volume.uuid, other.type == volume.type,
                report.deviceCount > 1
            else { return false }
            return [.clean, .cleanAfterReplay, .damaged].contains(report.verdict)
        }
        guard let (other, report) = whole else { return nil }
        return CheckReport(
            volume: volume.name,
            type: volume.type,
            verdict: .notCheckable,
            reason: "It is a part of the file system that was checked as \(other.name).",
            isCheckable: false,
            checkedAs: [other.name],
            deviceCount: report.deviceCount
        )
    }

    /// A volume that takes the appliance down with it does not take the other volumes' answers.
    private func check(_ volume: CheckVolume) -> CheckReport {
        do throws(CheckShellError) {
            var shell = try ApplianceShell(volume, in: try place())
            return try Checkers.check(volume: volume.name, type: volume.type, &shell)
        } catch {
            running = nil
            return CheckReport(
                volume: volume.name,
                type: volume.type,
                verdict: .notCheckable,
                reason: "The appliance failed under the check: \(error.reason)."
            )
        }
    }

    private func rehearsal(of volume: CheckVolume) -> Rehearsal {
        do throws(CheckShellError) {
            var shell = try ApplianceShell(volume, in: try place())
            return try Checkers.rehearse(type: volume.type, &shell)
        } catch {
            running = nil
            return Rehearsal(
                outcome: .notRepairable,
                reason: "The appliance failed under the repair: \(error.reason)."
            )
        }
    }

    private func place() throws(CheckShellError) -> any CheckPlace {
        if let running { return running }
        let launched = try launch()
        running = launched
        return launched
    }
}
