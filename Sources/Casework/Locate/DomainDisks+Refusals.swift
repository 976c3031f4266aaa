internal import Linux

/// Decides on one layer of a disk, and puts into words why it is not read and what to do instead.
struct RefusalText {
    private let disk: DomainDisk
    private let index: Int

    /// About layer `index` of `disk`.
    init(_ disk: DomainDisk, _ index: Int) {
        self.disk = disk
        self.index = index
    }

    /// The layer as it has to be found, where it is one that is read here.
    func pinned(_ layer: DomainDiskLayer) throws(DomainDisks.Refused) -> PinnedLayer {
        guard case .file(let path) = layer.source else { throw source(layer.source) }
        guard !layer.features.contains(.encryption) else { throw encryption(layer) }
        if let feature = DomainDiskLayer.Feature.allCases.first(where: layer.features.contains) {
            throw refused(
                .feature,
                "is \(path.debugDescription) with <\(feature.rawValue)>, and is not read here",
                "Shut the instance off and give a copy that `qemu-img convert` makes of it."
            )
        }
        guard let format = layer.format.flatMap(ImageFormat.init(rawValue:)) else {
            let stated = layer.format.map { "in the format \($0.debugDescription)" }
            throw refused(
                .format,
                "is \(path.debugDescription) \(stated ?? "without a stated format"); "
                    + "raw and qcow2 are read here",
                "Shut the instance off and give a copy in qcow2 or raw (`qemu-img convert`)."
            )
        }
        guard path.utf8.first == UInt8(ascii: "/") else {
            throw refused(
                .source,
                "is \(path.debugDescription), which is no absolute path",
                "Shut the instance off and give the image file itself."
            )
        }
        return PinnedLayer(path: CommandLineBytes.encode(path.utf8), format: format)
    }

    /// A drive without a medium.
    var empty: DomainDisks.Refused {
        refused(.empty, "is a drive without a medium", "There is nothing in it to read.")
    }

    /// A disk that is being copied.
    var mirror: DomainDisks.Refused {
        let job = disk.mirror?.job.map { " (\($0.debugDescription))" } ?? ""
        return refused(
            .mirror,
            "is being copied by a job\(job), which may change its files at any moment",
            "Wait until the job has ended (`virsh blockjob DOMAIN \(disk.target)`) and try again."
        )
    }

    private func encryption(_ layer: DomainDiskLayer) -> DomainDisks.Refused {
        refused(
            .encryption,
            "is encrypted, with a key that QEMU holds",
            "Shut the instance off and give a decrypted copy, made with `qemu-img convert` and the "
                + "secret that libvirt or Barbican keeps."
        )
    }

    private func source(_ source: DomainDiskLayer.Source) -> DomainDisks.Refused {
        switch source {
        case .file(let path):
            refused(.source, "is \(path.debugDescription)", "Give the image file itself.")
        case .block(let path):
            refused(
                .block,
                "is the block device \(path.debugDescription), which is not read here",
                "Read a volume through a snapshot of it (`openstack volume snapshot create "
                    + "--force`, a volume from that, its content copied to a file), or detach it. "
                    + "For LVM, `lvcreate --snapshot` and a copy of the snapshot."
            )
        case .network(let name, let image):
            network(name, image)
        case .volume(let pool, let volume):
            refused(
                .volume,
                "is the volume \(volume.debugDescription) of the pool \(pool.debugDescription), "
                    + "which is not read here",
                "Look with `virsh vol-path` where it lies, and give that file while the instance "
                    + "is shut off."
            )
        case .directory(let path):
            refused(
                .source,
                "is the directory \(path.debugDescription), which QEMU shows as a disk",
                "Look into the directory on the host itself."
            )
        case .nvme, .vhostUser, .other:
            refused(
                .source,
                "is \(Self.kind(of: source)), which is not read here",
                "Read it inside the guest, or shut the instance off and copy it to a file."
            )
        }
    }

    private static func kind(of source: DomainDiskLayer.Source) -> String {
        switch source {
        case .nvme: "an NVMe controller that QEMU drives itself"
        case .vhostUser: "served by a process on a vhost-user socket"
        case .other(let type): "of the type \(type.debugDescription)"
        case .file, .block, .directory, .network, .volume: "another kind of disk"
        }
    }

    private func network(_ name: String, _ image: String) -> DomainDisks.Refused {
        let advice: String
        if name == "rbd" {
            // A name that a shell could take for something else is not put into a command.
            let isPlain = image.utf8.allSatisfy {
                switch $0 {
                case 0x2D...0x39, 0x41...0x5A, 0x5F, 0x61...0x7A: true
                default: false
                }
            }
            let place = isPlain && image.utf8.first != 0x2D ? image : "POOL/IMAGE"
            advice =
                "Make a snapshot and export it: `rbd snap create \(place)@glovebox`, "
                + "`rbd export \(place)@glovebox FILE`, `rbd snap rm \(place)@glovebox`; "
                + "then give FILE with --format raw."
        } else {
            advice = "Make a snapshot where the disk is served, and give a copy of that in a file."
        }
        return refused(
            .network,
            "is \(image.debugDescription) by the protocol \(name.debugDescription), "
                + "which is not read here",
            advice
        )
    }

    private func refused(
        _ reason: DomainDisks.Reason,
        _ what: String,
        _ advice: String
    ) -> DomainDisks.Refused {
        let which = index == 0 ? disk.target : "Layer \(index) of \(disk.target)"
        return DomainDisks.Refused(
            target: disk.target,
            reason: reason,
            message: "\(which) \(what).",
            advice: advice
        )
    }
}
