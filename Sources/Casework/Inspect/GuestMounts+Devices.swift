internal import DiskFormats

// Which volume an fstab means: by identifier, or by the order in which Nova adds disks.
extension GuestMounts {
    /// The volume that `device` of an fstab means; nil where none does, or several do.
    func volume(named device: [UInt8]) -> Volume? {
        if let known = volume(named: device, among: volumes()) { return known }
        guard !usesEngine, let engine = opening.engine, opening.choice != .native,
            volumes().contains(where: Self.isContainer)
        else { return nil }
        return volume(named: device, among: (try? engine.innerVolumes()) ?? [])
    }

    private func volume(named device: [UInt8], among volumes: [Volume]) -> Volume? {
        let text = String(decoding: device, as: UTF8.self)
        for (prefix, key) in Self.identifiers {
            for prefix in [prefix, "/dev/disk/by-" + prefix.dropLast().lowercased() + "/"]
            where text.hasPrefix(prefix) {
                let wanted = String(text.dropFirst(prefix.count))
                let matching = volumes.filter { key($0, wanted) }
                return matching.count == 1 ? matching.first : nil
            }
        }
        return inner(named: text, among: volumes) ?? volume(byKernelName: text)
    }

    /// `/dev/VG/LV`, `/dev/mapper/VG-LV` (where a hyphen within a name is doubled), `/dev/md0`.
    ///
    /// What else /dev/mapper names is an unlocked volume: the only one, since its name there comes
    /// from a file of the guest's.
    private func inner(named device: String, among volumes: [Volume]) -> Volume? {
        let inner = volumes.filter(\.isInner)
        let mapper = "/dev/mapper/"
        func only(_ isIt: (String) -> Bool) -> Volume? {
            let found = inner.filter { isIt($0.name.volume) }
            return found.count == 1 ? found.first : nil
        }
        guard device.hasPrefix(mapper) else { return only { "/dev/\($0)" == device } }
        let name = String(device.dropFirst(mapper.count))
        return only { volume in
            let parts = volume.split(separator: "/").map { $0.replacing("-", with: "--") }
            return parts.count == 2 && parts.joined(separator: "-") == name
        } ?? only { $0 == "luks" || $0.hasSuffix(".luks") }
    }

    static let identifiers: [(String, @Sendable (Volume, String) -> Bool)] = [
        (
            "UUID=",
            { volume, wanted in
                (try? volume.signatures())?.contains { $0.uuid.lowercased() == wanted.lowercased() }
                    == true
            }
        ),
        (
            "LABEL=",
            { volume, wanted in
                (try? volume.signatures())?.contains { $0.label == [UInt8](wanted.utf8) } == true
            }
        ),
        (
            "PARTUUID=",
            { volume, wanted in
                volume.partition.map { $0.uuid.lowercased() == wanted.lowercased() } ?? false
            }
        ),
        (
            "PARTLABEL=",
            { volume, wanted in
                volume.partition.map { $0.name == [UInt8](wanted.utf8) } ?? false
            }
        ),
    ]

    /// `/dev/vda1` is partition 1 of the first disk: Nova attaches the root disk first.
    private func volume(byKernelName name: String) -> Volume? {
        guard
            let prefix = ["/dev/vd", "/dev/sd", "/dev/xvd", "/dev/hd"].first(where: name.hasPrefix),
            let letter = name.dropFirst(prefix.count).first?.asciiValue,
            case let index = Int(letter) - Int(UInt8(ascii: "a")), (0..<count).contains(index)
        else { return nil }
        let digits = name.dropFirst(prefix.count + 1)
        let wanted = digits.isEmpty ? "" : "p\(digits)"
        return (try? disk(index))?.volumes.first { $0.name.volume == wanted }
    }
}
