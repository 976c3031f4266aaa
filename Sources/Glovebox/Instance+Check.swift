public import Checkers
internal import DiskFormats

extension Instance {
    /// Gives somebody who can check volumes of these disks: the engine, with an export for each.
    public typealias CheckEngine = ([Disk]) throws(GloveboxError) -> any VolumeChecking

    /// Checks the file systems of the instance, each by its own checker, after its journal has been
    /// replayed into a layer that is thrown away.
    ///
    /// `names` selects volumes (`disk:p1`) or whole disks (`disk`); empty means all. With `rehearse`
    /// the repair of what is damaged is tried on such a layer, too. `engine` is only asked for where
    /// something needs it, and gets the disks in the order of ``diskNames``.
    public func check(
        _ names: [String] = [],
        rehearse: Bool = false,
        engine: CheckEngine
    ) throws(GloveboxError) -> [CheckReport] {
        var plan = CheckPlan(names, diskNames: diskNames)
        for diskName in diskNames where plan.concerns(disk: diskName) {
            do throws(GloveboxError) {
                let volumes = try disk(diskName).volumes
                for volume in volumes where plan.selects(volume.name.description) {
                    plan.add(Self.question(volume))
                }
                if volumes.isEmpty { plan.add(.answered(Self.empty(diskName))) }
            } catch {
                // One disk that cannot be opened does not hide the others.
                if diskNames.count == 1 { throw error }
                plan.add(.answered(Self.unreadable(diskName, error)))
            }
        }
        let disks = attachable(plan)
        var checking: (any VolumeChecking)?
        if plan.wantsInner(hasKeys: self.engine?.hasKeys == true) {
            let started = try engine(disks)
            checking = started
            Self.addInner(to: &plan, started)
        }
        try refuseUnknown(names, plan)
        var toEngine: [CheckVolume] = []
        for case .forEngine(var volume) in plan.questions {
            let disk = plan.disk(of: volume.name)
            volume.disk = disks.firstIndex { $0.name == disk } ?? 0
            toEngine.append(volume)
        }
        var answers = try answers(to: toEngine, rehearse) { () throws(GloveboxError) in
            guard let checking else { return try engine(disks) }
            return checking
        }[...]
        return plan.questions.map { question in
            switch question {
            case .answered(let report): report
            case .container(let name, let type): plan.report(onContainer: name, type)
            case .forEngine(let volume): answers.popFirst() ?? Self.missing(volume)
            }
        }
    }

    /// The disks that are given to the engine: what spans several needs all that can be opened.
    private func attachable(_ plan: CheckPlan) -> [Disk] {
        let wanted = diskNames.filter { plan.mayNeedOtherDisks || plan.concerns(disk: $0) }
        return wanted.compactMap { try? disk($0) }
    }

    private static func addInner(to plan: inout CheckPlan, _ checking: any VolumeChecking) {
        do throws(CheckShellError) {
            var found = try checking.innerVolumes(asking: false)
            if plan.wantsKey(found) { found = try checking.innerVolumes(asking: true) }
            plan.add(found)
        } catch {
            plan.fail(error.reason)
        }
    }

    private func answers(
        to volumes: [CheckVolume],
        _ rehearse: Bool,
        _ starting: () throws(GloveboxError) -> any VolumeChecking
    ) throws(GloveboxError) -> [CheckReport] {
        guard !volumes.isEmpty else { return [] }
        let checking = try starting()
        do throws(CheckShellError) {
            return try checking.check(volumes, rehearse: rehearse)
        } catch {
            throw GloveboxError(.unreadable, "Nothing could be checked: \(error.reason).")
        }
    }

    private static func missing(_ volume: CheckVolume) -> CheckReport {
        CheckReport(
            volume: volume.name,
            type: volume.type,
            verdict: .notCheckable,
            reason: "The engine gave no answer for it."
        )
    }

    private static func empty(_ name: String) -> CheckReport {
        CheckReport(
            volume: name,
            type: "",
            verdict: .notCheckable,
            reason: "It has a partition table without partitions.",
            isCheckable: false
        )
    }

    private static func unreadable(_ name: String, _ error: GloveboxError) -> CheckReport {
        CheckReport(
            volume: name,
            type: "",
            verdict: .notCheckable,
            reason: error.description
        )
    }

    private func refuseUnknown(_ names: [String], _ plan: CheckPlan) throws(GloveboxError) {
        let asked = plan.questions.map(\.name)
        for name in names where !asked.contains(where: { $0 == name || $0.hasPrefix(name + ":") }) {
            let outer = attachedDisks.flatMap(\.volumes).map(\.name.description)
            let known = outer + plan.knownInner.filter { !outer.contains($0) }
            throw GloveboxError(
                .notFound,
                "There is no volume \(name).",
                advice: known.isEmpty
                    ? "There are the disks \(diskNames.joined(separator: ", "))."
                    : "There are \(known.joined(separator: ", "))."
            )
        }
    }

    /// What is known of a volume without the engine, or what the engine has to be asked.
    private static func question(_ volume: Volume) -> CheckPlan.Question {
        let name = volume.name.description
        let type: String
        do throws(GloveboxError) { type = try content(of: volume) } catch {
            return .answered(unreadable(name, error))
        }
        return CheckPlan.question(
            CheckVolume(
                name: name,
                type: type,
                disk: 0,
                start: volume.partition?.start ?? 0,
                byteCount: volume.source.byteCount,
                uuid: (try? volume.signatures())?.first?.uuid ?? ""
            )
        )
    }

    /// The type by its signature; by what is left where its superblock is lost or damaged.
    private static func content(of volume: Volume) throws(GloveboxError) -> String {
        var types = try volume.signatures().map(\.type)
        if types.isEmpty { types = remains(on: volume) }
        // ISO 9660 and UDF belong side by side on one disc.
        guard types.count <= 1 || types.allSatisfy({ ["iso9660", "udf"].contains($0) }) else {
            throw GloveboxError(
                .unreadable,
                "It carries the signatures of \(types.joined(separator: " and ")), "
                    + "so what it holds is not certain."
            )
        }
        return types.first ?? ""
    }

    private static func remains(on volume: Volume) -> [String] {
        let byCopy = try? volume.fileSystem().summary.type
        return SignatureRemains.types(on: volume.source) + [byCopy].compactMap(\.self)
    }
}
