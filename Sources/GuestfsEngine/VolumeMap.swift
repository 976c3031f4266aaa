internal import DiskFormats
internal import EngineProtocol

/// Which device of the appliance is which volume.
///
/// Disks are told by the label that each drive was given, never by their order, and their size has to
/// be the export's. Volumes that lie in others get names of their own: `VG/LV` for a logical volume,
/// `md127` for an array as the kernel calls it, `p2.luks` for what an encrypted volume holds (`luks`
/// for a whole disk). They belong to the first disk that holds a part of them.
struct VolumeMap {
    private struct Place: Hashable, CustomStringConvertible {
        let disk: String
        let name: String

        init(disk: String, name: String) {
            self.disk = disk
            self.name = name
        }

        init(_ volume: WorkerVolume) { self.init(disk: volume.disk, name: volume.name) }

        var description: String { "\(disk):\(name)" }
    }

    private struct Found {
        let place: Place
        let device: String
        /// The devices that it lies on.
        let parts: [String]
    }

    /// Volumes that lie within others, with what they hold.
    private var inner: [WorkerVolume] = []
    /// Looking for volumes within others runs programs of LVM and mdadm, which without KVM takes
    /// seconds: it is done when one is first asked for.
    private var innerIsKnown = false
    private var devices: [Place: String] = [:]
    private var placeOfDevice: [String: Place] = [:]
    /// The disk of each device, as an index.
    private var diskOfDevice: [String: Int] = [:]
    private var unlocked: [Found] = []
    private var membersOfArray: [String: [String]] = [:]
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
        unlocked.append(Found(place: place, device: device, parts: [outer]))
        diskOfDevice[device] = diskOfDevice[outer]
        placeOfDevice[device] = place
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
            record(device, as: "", onDisk: index)
        }
    }

    private mutating func addPartitions(_ appliance: Appliance) throws(GuestfsError) {
        for partition in try appliance.handle.partitions() {
            // The kernel's own naming: asking the appliance takes two calls for each.
            let digits = partition.reversed().prefix { $0.isASCII && $0.isNumber }.count
            guard let number = UInt32(partition.suffix(digits)),
                let index = diskOfDevice[String(partition.dropLast(digits))]
            else { continue }
            record(partition, as: "p\(number)", onDisk: index)
        }
    }

    private mutating func record(_ device: String, as name: String, onDisk index: Int) {
        let place = Place(disk: disks[index].name, name: name)
        devices[place] = device
        placeOfDevice[device] = place
        diskOfDevice[device] = index
    }

    private mutating func refreshInner(_ appliance: Appliance) throws(GuestfsError) {
        var found = unlocked
        try appliance.handle.startArrays()
        found += try arrays(appliance)
        try appliance.handle.activateVolumeGroups()
        found += try logicalVolumes(appliance)
        for one in found where devices[one.place] == nil {
            devices[one.place] = one.device
            placeOfDevice[one.device] = one.place
        }
        // What was incomplete may be whole now.
        inner.removeAll { $0.byteCount == 0 }
        for one in found where !inner.contains(where: { one.place == Place($0) }) {
            let tags = appliance.handle.signature(of: one.device)
            inner.append(
                WorkerVolume(
                    disk: one.place.disk,
                    name: one.place.name,
                    type: type(tags),
                    label: tags["LABEL"] ?? [],
                    uuid: String(decoding: tags["UUID"] ?? [], as: UTF8.self),
                    byteCount: try size(of: one.device, appliance),
                    parts: one.parts.compactMap { placeOfDevice[$0]?.description }
                )
            )
        }
        inner.sort { ($0.disk, $0.name) < ($1.disk, $1.name) }
        innerIsKnown = true
    }

    /// What blkid says that it holds; partitions on such a volume are not looked for.
    private func type(_ tags: [String: [UInt8]]) -> String {
        guard let type = tags["TYPE"] else {
            return tags["PTTYPE"] == nil ? "" : WorkerVolume.partitionTable
        }
        return String(decoding: type, as: UTF8.self)
    }

    /// The size of a volume within others; 0 where there is no device, since parts are missing.
    private func size(of device: String, _ appliance: Appliance) throws(GuestfsError) -> UInt64 {
        do throws(GuestfsError) { return try appliance.handle.size(of: device) } catch {
            guard appliance.handle.isReady else { throw error }
            return 0
        }
    }

    private mutating func arrays(_ appliance: Appliance) throws(GuestfsError) -> [Found] {
        var found: [Found] = []
        for device in try appliance.handle.arrays() {
            var members = membersOfArray[device] ?? []
            if members.isEmpty { members = try self.members(ofArray: device, appliance) }
            membersOfArray[device] = members
            let index = members.compactMap { diskOfDevice[$0] }.min() ?? 0
            diskOfDevice[device] = index
            let name = device.split(separator: "/").last.map(String.init) ?? device
            let place = Place(disk: disks[index].name, name: name)
            placeOfDevice[device] = place
            found.append(Found(place: place, device: device, parts: members))
        }
        return found
    }

    /// Members bear the identifier of their array; what the kernel calls them may be another name
    /// than the one that libguestfs uses.
    private func members(
        ofArray array: String,
        _ appliance: Appliance
    ) throws(GuestfsError) -> [String] {
        let wanted = try appliance.handle.identifier(of: array)
        return members("linux_raid_member", appliance)
            .filter { $0.uuid.filter(\.isHexDigit).lowercased() == wanted }
            .map(\.device)
            .sorted { ($0.count, $0) < ($1.count, $1) }
    }

    /// The devices that carry this signature, each with the identifier in it.
    ///
    /// By blkid, device by device: the names that mdadm and LVM have for disks are the kernel's,
    /// which gives them in another order than libguestfs.
    private func members(
        _ type: String,
        _ appliance: Appliance
    ) -> [(device: String, uuid: String)] {
        placeOfDevice.keys.compactMap { device in
            let tags = appliance.handle.signature(of: device)
            guard tags["TYPE"].map({ $0.elementsEqual(type.utf8) }) == true else { return nil }
            return (device, String(decoding: tags["UUID"] ?? [], as: UTF8.self))
        }
    }

    private mutating func logicalVolumes(_ appliance: Appliance) throws(GuestfsError) -> [Found] {
        var found: [Found] = []
        var physical: [String: String] = [:]
        for member in members("LVM2_member", appliance) {
            physical[member.uuid.filter { $0 != "-" }] = member.device
        }
        var partsOfGroup: [String: [String]] = [:]
        for group in try appliance.handle.volumeGroups() {
            let parts = try appliance.handle.physicalVolumes(of: group)
            partsOfGroup[group] = parts.compactMap { physical[$0] }
        }
        for device in try appliance.handle.logicalVolumes() {
            let name = String(device.dropFirst("/dev/".count))
            let group = name.split(separator: "/").first.map(String.init) ?? ""
            let parts = partsOfGroup[group] ?? []
            let index = parts.compactMap { diskOfDevice[$0] }.min() ?? 0
            diskOfDevice[device] = index
            found.append(
                Found(
                    place: Place(disk: disks[index].name, name: name),
                    device: device,
                    parts: parts
                )
            )
        }
        return found
    }
}
