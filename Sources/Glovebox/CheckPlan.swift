internal import Checkers

/// Which volumes a check is to answer for, in the order of the answers, and what is known of each.
struct CheckPlan {
    /// A line of the answer.
    enum Question {
        case answered(CheckReport)
        case forEngine(CheckVolume)
        /// A volume whose content is other volumes, or encrypted.
        case container(name: String, type: String)

        var name: String {
            switch self {
            case .answered(let report): report.volume
            case .forEngine(let volume): volume.name
            case .container(let name, _): name
            }
        }
    }

    private(set) var questions: [Question] = []
    /// The names that were asked for; empty for everything.
    private let names: [String]
    private let diskNames: [String]
    /// The volumes that lie in each, by name: directly or over others.
    private var inside: [String: [String]] = [:]
    /// Why volumes within others could not be looked for.
    private var problem: String?

    private static let containerTypes = ["LVM2_member", "crypto_LUKS", "linux_raid_member"]

    /// Plans for these names, of volumes and disks, on an instance with these disks.
    init(_ names: [String], diskNames: [String]) {
        self.names = names
        self.diskNames = diskNames
    }

    /// Whether a disk may hold something that was selected.
    func concerns(disk: String) -> Bool {
        names.isEmpty || names.contains { $0 == disk || $0.hasPrefix(disk + ":") }
    }

    /// Whether a volume was selected, by its name or that of its disk.
    func selects(_ name: String) -> Bool {
        names.isEmpty || names.contains { $0 == name || $0 == disk(of: name) }
    }

    /// The disk that a volume is on; an image's name may have colons, too.
    func disk(of name: String) -> String {
        diskNames.filter { name.hasPrefix($0 + ":") }.max { $0.count < $1.count } ?? ""
    }

    /// What a volume is called on its disk.
    private func part(of name: String) -> String {
        String(name.dropFirst(disk(of: name).count + 1))
    }

    mutating func add(_ question: Question) { questions.append(question) }

    /// What is to be asked about a volume of which it is known what it holds.
    static func question(_ volume: CheckVolume) -> Question {
        if containerTypes.contains(volume.type) {
            return .container(name: volume.name, type: volume.type)
        }
        if let report = Checkers.withoutEngine(volume: volume.name, type: volume.type) {
            return .answered(report)
        }
        return .forEngine(volume)
    }
}

extension CheckPlan {
    /// Whether there may be volumes within others, so that the engine has to look for them.
    func wantsInner(hasKeys: Bool) -> Bool {
        !namesOfInner.isEmpty
            || questions.contains { question in
                guard case .container(let name, let type) = question else { return false }
                return type != Volume.encryptedType || hasKeys || names.contains(name)
            }
    }

    /// Whether other disks than those that were selected may hold a part of something.
    var mayNeedOtherDisks: Bool {
        !namesOfInner.isEmpty
            || questions.contains { question in
                switch question {
                case .answered: false
                case .container: true
                case .forEngine(let volume): volume.type == "btrfs"
                }
            }
    }

    /// The names that are those of volumes within others.
    private var namesOfInner: [String] {
        names.filter { !disk(of: $0).isEmpty && part(of: $0).isInner }
    }

    /// Whether a person ought to be asked for a key: what was named is closed with those at hand.
    func wantsKey(_ found: [InnerVolume]) -> Bool {
        let known = found.map(\.volume.name)
        return namesOfInner.contains { !known.contains($0) }
            || questions.contains { question in
                guard case .container(let name, Volume.encryptedType) = question else {
                    return false
                }
                return names.contains(name) && !found.contains { $0.parts.contains(name) }
            }
    }

    /// Adds the volumes within others that were selected, each after the volumes of its disk; one
    /// that holds others selects them.
    mutating func add(_ found: [InnerVolume]) {
        for volume in found {
            for part in volume.parts { inside[part, default: []].append(volume.volume.name) }
        }
        var selected = Set(questions.map(\.name))
        selected.formUnion(found.map(\.volume.name).filter(selects))
        var count = -1
        while count != selected.count {
            count = selected.count
            for one in found where !selected.isDisjoint(with: one.parts) {
                selected.insert(one.volume.name)
            }
        }
        for one in found where selected.contains(one.volume.name) {
            let home = disk(of: one.volume.name)
            let last = questions.lastIndex { disk(of: $0.name) == home }
            let place = last.map { $0 + 1 } ?? questions.count
            questions.insert(Self.question(one), at: place)
        }
    }

    private static func question(_ inner: InnerVolume) -> Question {
        guard inner.volume.byteCount == 0 else { return question(inner.volume) }
        return .answered(
            CheckReport(
                volume: inner.volume.name,
                type: "",
                verdict: .notCheckable,
                reason: "Volumes that it lies on are missing, so it cannot be opened."
            )
        )
    }

    /// The volumes within others that are there, selected or not.
    var knownInner: [String] { Set(inside.values.joined()).sorted() }

    /// Volumes within others could not be looked for.
    mutating func fail(_ reason: String) { problem = reason }

    /// What is said of a container.
    func report(onContainer name: String, _ type: String) -> CheckReport {
        let checkedAs = inside[name] ?? []
        return CheckReport(
            volume: name,
            type: type,
            verdict: .notCheckable,
            reason: checkedAs.isEmpty
                ? reason(ofEmpty: name, type)
                : "It holds other volumes, and each of them is checked by itself.",
            isCheckable: checkedAs.isEmpty,
            checkedAs: checkedAs
        )
    }

    private func reason(ofEmpty name: String, _ type: String) -> String {
        if let problem { return "What lies in it could not be looked for: \(problem)" }
        switch type {
        case Volume.encryptedType:
            let volume = GuestPath.VolumeName(disk: disk(of: name), volume: part(of: name))
            return "It is encrypted and was not opened: give its passphrase by --key-file, "
                + "and what it holds is checked as \(volume.unlocked)."
        case "LVM2_member":
            return "It is a part of a volume group, and no logical volume of it is seen."
        default:
            return "It is a part of an array, and that array cannot be started."
        }
    }
}
