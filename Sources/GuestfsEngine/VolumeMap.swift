internal import DiskFormats
internal import EngineProtocol

/// Which device of the appliance is which volume.
///
/// Disks are told by the label that each drive was given, never by their order, and their size has to
/// be the export's. Volumes that lie in others get names of their own: `VG/LV` for a logical volume,
/// `md127` for an array as the kernel calls it, `p2.luks` for what an encrypted volume holds (`luks`
/// for a whole disk). They belong to the first disk that holds a part of them.
struct VolumeMap {
    private struct Place: Hashable {
        let disk: String
        let name: String
    }

    private struct Found {
        let place: Place
        let device: String
    }

    private var inner: [WorkerVolume] = []
    /// Looking for volumes within others runs programs of LVM and mdadm, which without KVM takes
    /// seconds: it is done when one is first asked for.
    private var innerIsKnown = false
    private var devices: [Place: String] = [:]
    /// The disk of each device, as an index.
    private var diskOfDevice: [String: Int] = [:]
    private var unlocked: [Found] = []
    private let disks: [WorkerDisk]

    /// Looks at the disks and partitions of a fresh appliance.
    init(_ appliance: Appliance) throws(WorkerFailure) {
        disks = appliance.disks
        do throws(GuestfsError) {
            try addDisks(appliance)
            try addPartitions(appliance)
        } catch {
            throw WorkerFailure(.appliance, error.message)
        }
    }

    /// The device of a volume.
    mutating func device(
        of name: String,
        on disk: String,
        _ appliance: Appliance
    ) throws(WorkerFailure) -> String {
        let place = Place(disk: disk, name: name)
        if let device = devices[place] { return device }
        _ = try innerVolumes(appliance)
        guard let device = devices[place] else {
            throw WorkerFailure(.noVolume, "the appliance sees no volume \(disk):\(name)")
        }
        return device
    }

    /// Volumes that lie within others, with what they hold; activates all volume groups.
    mutating func innerVolumes(_ appliance: Appliance) throws(WorkerFailure) -> [WorkerVolume] {
        if !innerIsKnown {
            do throws(GuestfsError) { try refreshInner(appliance) } catch {
                throw WorkerFailure(.disk, error.message)
            }
        }
        return inner
    }

    /// Opens an encrypted volume; what lies in it is one of ``innerVolumes`` from then on.
    mutating func unlock(
        _ disk: String,
        _ name: String,
        _ key: [UInt8],
        with appliance: Appliance
    ) throws(WorkerFailure) {
        let outer = try device(of: name, on: disk, appliance)
        let place = Place(disk: disk, name: name.isEmpty ? "luks" : "\(name).luks")
        guard devices[place] == nil else { return }
        let mapped = "glovebox\(unlocked.count)"
        do throws(GuestfsError) {
            try appliance.handle.unlock(outer, key: key, as: mapped)
        } catch {
            // cryptsetup(8): 2 is no permission, which is a bad passphrase.
            let isKey = error.message.contains("status 2") || error.message.contains("No key")
            throw WorkerFailure(isKey ? .wrongKey : .disk, error.message)
        }
        let device = "/dev/mapper/\(mapped)"
        unlocked.append(Found(place: place, device: device))
        diskOfDevice[device] = diskOfDevice[outer]
        do throws(GuestfsError) { try refreshInner(appliance) } catch {
            throw WorkerFailure(.disk, error.message)
        }
    }
}

extension VolumeMap {
    private mutating func addDisks(_ appliance: Appliance) throws(GuestfsError) {
        let labelled = try appliance.handle.labelledDevices()
        for (index, disk) in disks.enumerated() {
            guard let device = labelled[appliance.labels[index]] else {
                throw GuestfsError(message: "the appliance does not show \(disk.name)", errno: 0)
            }
            // QEMU rounds up to whole sectors.
            let size = try appliance.handle.size(of: device)
            guard size == (disk.byteCount + 511) / 512 * 512 else {
                throw GuestfsError(
                    message:
                        "\(disk.name) has \(disk.byteCount) bytes, and \(size) in the appliance",
                    errno: 0
                )
            }
            devices[Place(disk: disk.name, name: "")] = device
            diskOfDevice[device] = index
        }
    }

    private mutating func addPartitions(_ appliance: Appliance) throws(GuestfsError) {
        for partition in try appliance.handle.partitions() {
            // The kernel's own naming: asking the appliance takes two calls for each.
            let digits = partition.reversed().prefix { $0.isASCII && $0.isNumber }.count
            guard let number = UInt32(partition.suffix(digits)),
                let index = diskOfDevice[String(partition.dropLast(digits))]
            else { continue }
            devices[Place(disk: disks[index].name, name: "p\(number)")] = partition
            diskOfDevice[partition] = index
        }
    }

    private mutating func refreshInner(_ appliance: Appliance) throws(GuestfsError) {
        var found = unlocked
        found += try arrays(appliance)
        try appliance.handle.activateVolumeGroups()
        found += try logicalVolumes(appliance)
        for one in found where devices[one.place] == nil {
            devices[one.place] = one.device
            let tags = appliance.handle.signature(of: one.device)
            inner.append(
                WorkerVolume(
                    disk: one.place.disk,
                    name: one.place.name,
                    type: String(decoding: tags["TYPE"] ?? [], as: UTF8.self),
                    label: tags["LABEL"] ?? [],
                    uuid: String(decoding: tags["UUID"] ?? [], as: UTF8.self),
                    byteCount: try appliance.handle.size(of: one.device)
                )
            )
        }
        inner.sort { ($0.disk, $0.name) < ($1.disk, $1.name) }
        innerIsKnown = true
    }

    private mutating func arrays(_ appliance: Appliance) throws(GuestfsError) -> [Found] {
        var found: [Found] = []
        for device in try appliance.handle.arrays() {
            var known = diskOfDevice[device]
            if known == nil { known = try firstDisk(ofArray: device, appliance) }
            let index = known ?? 0
            diskOfDevice[device] = index
            let name = device.split(separator: "/").last.map(String.init) ?? device
            found.append(
                Found(place: Place(disk: disks[index].name, name: name), device: device)
            )
        }
        return found
    }

    /// Members bear the identifier of their array; what the kernel calls them may be another name
    /// than the one that libguestfs uses.
    private func firstDisk(
        ofArray array: String,
        _ appliance: Appliance
    ) throws(GuestfsError) -> Int {
        let wanted = try appliance.handle.identifier(of: array)
        let members = diskOfDevice.filter { device, _ in
            let tags = appliance.handle.signature(of: device)
            guard tags["TYPE"].map({ $0.elementsEqual("linux_raid_member".utf8) }) == true else {
                return false
            }
            let uuid = String(decoding: tags["UUID"] ?? [], as: UTF8.self)
            return uuid.filter(\.isHexDigit).lowercased() == wanted
        }
        return members.values.min() ?? 0
    }

    private mutating func logicalVolumes(_ appliance: Appliance) throws(GuestfsError) -> [Found] {
        var found: [Found] = []
        let physical = try appliance.handle.physicalVolumes()
        var diskOfGroup: [String: Int] = [:]
        for group in try appliance.handle.volumeGroups() {
            let parts = try appliance.handle.physicalVolumes(of: group)
            diskOfGroup[group] = parts.compactMap { physical[$0] }
                .compactMap { diskOfDevice[$0] }.min()
        }
        for device in try appliance.handle.logicalVolumes() {
            let name = String(device.dropFirst("/dev/".count))
            let group = name.split(separator: "/").first.map(String.init) ?? ""
            let index = diskOfGroup[group] ?? 0
            diskOfDevice[device] = index
            found.append(
                Found(place: Place(disk: disks[index].name, name: name), device: device)
            )
        }
        return found
    }
}
