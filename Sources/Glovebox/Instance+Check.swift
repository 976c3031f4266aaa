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
        var disks: [Disk] = []
        var asked: [Question] = []
        for diskName in diskNames where Self.concerns(names, disk: diskName) {
            do throws(GloveboxError) {
                let disk = try disk(diskName)
                let volumes = disk.volumes.filter { Self.selects(names, $0) }
                asked += volumes.map { Self.question($0, disk: disks.count) }
                if disk.volumes.isEmpty { asked.append(.answered(Self.empty(diskName))) }
                disks.append(disk)
            } catch {
                // One disk that cannot be opened does not hide the others.
                if diskNames.count == 1 { throw error }
                asked.append(.answered(Self.unreadable(diskName, error)))
            }
        }
        try refuseUnknown(names, asked)
        var toEngine: [CheckVolume] = []
        for case .forEngine(let volume) in asked { toEngine.append(volume) }
        var answers = try answers(to: toEngine, rehearse, disks, engine)[...]
        return asked.map { question in
            switch question {
            case .answered(let report): return report
            case .forEngine(let volume): return answers.popFirst() ?? Self.missing(volume)
            }
        }
    }

    private func answers(
        to volumes: [CheckVolume],
        _ rehearse: Bool,
        _ disks: [Disk],
        _ engine: CheckEngine
    ) throws(GloveboxError) -> [CheckReport] {
        guard !volumes.isEmpty else { return [] }
        let checking = try engine(disks)
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

    /// Whether a disk may hold something that was selected.
    private static func concerns(_ names: [String], disk: String) -> Bool {
        names.isEmpty || names.contains { $0 == disk || $0.hasPrefix(disk + ":") }
    }

    private static func selects(_ names: [String], _ volume: Volume) -> Bool {
        names.isEmpty || names.contains(volume.name.description)
            || names.contains(volume.name.disk)
    }

    private func refuseUnknown(_ names: [String], _ asked: [Question]) throws(GloveboxError) {
        for name in names where !asked.contains(where: { $0.isNamed(name) }) {
            let known = attachedDisks.flatMap(\.volumes).map(\.name.description)
            throw GloveboxError(
                .notFound,
                "There is no volume \(name).",
                advice: known.isEmpty
                    ? "There are the disks \(diskNames.joined(separator: ", "))."
                    : "There are \(known.joined(separator: ", "))."
            )
        }
    }

    private enum Question {
        case answered(CheckReport)
        case forEngine(CheckVolume)

        /// Whether its volume, or the disk that it is on, is called this.
        func isNamed(_ name: String) -> Bool {
            let volume =
                switch self {
                case .answered(let report): report.volume
                case .forEngine(let volume): volume.name
                }
            return volume == name || volume.hasPrefix(name + ":")
        }
    }

    /// What is known of a volume without the engine, or what the engine has to be asked.
    private static func question(_ volume: Volume, disk: Int) -> Question {
        let name = volume.name.description
        let type: String
        do throws(GloveboxError) { type = try content(of: volume) } catch {
            return .answered(unreadable(name, error))
        }
        if let report = Checkers.withoutEngine(volume: name, type: type) {
            return .answered(report)
        }
        return .forEngine(
            CheckVolume(
                name: name,
                type: type,
                disk: disk,
                start: volume.partition?.start ?? 0,
                byteCount: volume.source.byteCount
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
