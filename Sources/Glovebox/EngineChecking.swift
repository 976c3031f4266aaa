package import Casework
package import Checkers
internal import DiskFormats
internal import EngineProtocol

/// Checks volumes by the engine's worker, in an appliance of their own.
package struct EngineChecking: VolumeChecking {
    private let engine: Engine
    private let diskNames: [String]

    /// Checks on these disks, in this order.
    package init(_ instance: Instance, _ disks: [Disk]) throws(GloveboxError) {
        guard let engine = instance.engine else {
            throw GloveboxError(
                .unreadable,
                "The checkers run in glovebox-engine, which is not installed, or not wanted.",
                advice: "`make install` installs it; leave --engine native out."
            )
        }
        diskNames = disks.map(\.name)
        self.engine = engine.forChecks(of: disks)
    }

    package func innerVolumes(asking: Bool) throws(CheckShellError) -> [InnerVolume] {
        do throws(GloveboxError) {
            let found = asking ? try engine.innerVolumesAsking() : try engine.innerVolumes()
            var volumes: [InnerVolume] = []
            for volume in found {
                guard let disk = diskNames.firstIndex(of: volume.name.disk) else { continue }
                let signature = try volume.signatures().first
                let asked = CheckVolume(
                    name: volume.name.description,
                    type: signature?.type ?? "",
                    disk: disk,
                    start: 0,
                    byteCount: volume.source.byteCount,
                    inner: volume.name.volume,
                    uuid: signature?.uuid ?? ""
                )
                volumes.append(InnerVolume(asked, parts: volume.parts))
            }
            return volumes
        } catch {
            throw CheckShellError(error.description)
        }
    }

    package func check(
        _ volumes: [CheckVolume],
        rehearse: Bool
    ) throws(CheckShellError) -> [CheckReport] {
        var request = MessageWriter()
        CheckRequest(volumes: volumes, rehearse: rehearse).write(to: &request)
        let answers: [[UInt8]]
        do throws(GloveboxError) {
            answers = try engine.check(request.bytes, countMax: volumes.count)
        } catch {
            throw CheckShellError(error.description)
        }
        guard answers.count == volumes.count else {
            throw CheckShellError("the engine did not answer for every volume")
        }
        var reports: [CheckReport] = []
        for (answer, volume) in zip(answers, volumes) {
            guard let report = Self.report(in: answer), report.volume == volume.name else {
                throw CheckShellError("the engine answered something that makes no sense")
            }
            reports.append(report)
        }
        return reports
    }

    private static func report(in answer: [UInt8]) -> CheckReport? {
        var reader = MessageReader(answer)
        guard let report = try? CheckReport(from: &reader), (try? reader.end()) != nil else {
            return nil
        }
        return report
    }
}
