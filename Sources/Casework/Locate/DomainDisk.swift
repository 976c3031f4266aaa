internal import XML

/// A disk of a domain as its XML states it, whether it can be read here or not.
package struct DomainDisk: Equatable, Sendable {
    /// What the guest sees.
    package enum Device: Equatable, Sendable {
        case disk
        case cdrom
        case floppy
        /// A disk whose SCSI commands go through to the host's device.
        case lun
    }

    /// A job that copies the disk elsewhere while the guest runs.
    package struct Mirror: Equatable, Sendable {
        /// `copy` or `active-commit`; nil where it is not said.
        package let job: String?
        /// How far it is, such as `yes`, `abort` or `pivot`; nil while it still copies.
        package let ready: String?
    }

    /// The name of the device in the description, such as `vda`.
    ///
    /// Letters and digits only; no two disks of a domain have the same.
    package let target: String
    /// The bus, such as `virtio`, `scsi` or `ide`.
    package let bus: String?
    /// What the guest sees.
    package let device: Device
    /// What the disk consists of, what QEMU opens first; empty for a drive without a medium.
    package let layers: [DomainDiskLayer]
    /// Whether the description says where the chain ends; otherwise there may be more layers.
    package let isChainComplete: Bool
    /// Whether the guest may only read it.
    package let isReadOnly: Bool
    /// Whether other domains may write to it at the same time.
    package let isShareable: Bool
    /// Whether what the guest writes goes into an overlay that is thrown away.
    package let isTransient: Bool
    /// The copy that is being made of it, if there is one.
    package let mirror: Mirror?

    init(_ element: XMLElement) throws(GloveboxError) {
        guard let target = try element.single("target") else {
            throw DomainDescription.unusable("a disk has no target")
        }
        self.target = try Self.name(target)
        bus = target.attribute("bus")
        device = try Self.device(element, self.target)
        isReadOnly = try element.single("readonly") != nil
        isShareable = try element.single("shareable") != nil
        isTransient = try element.single("transient") != nil
        mirror = try element.single("mirror").map {
            Mirror(job: $0.attribute("job"), ready: $0.attribute("ready"))
        }
        let format = try element.single("driver")?.attribute("type")
        guard let top = try DomainDiskLayer(element, format: format) else {
            layers = []
            isChainComplete = true
            return
        }
        // Where older descriptions have it; now it stands in the source.
        let isEncrypted = try element.single("encryption") != nil
        var layers = [isEncrypted ? top.with(.encryption) : top]
        var next = try element.single("backingStore")
        // An element without a type ends the chain, and is empty.
        while let backing = next, backing.attribute("type") != nil || !backing.children.isEmpty {
            guard layers.count < DomainDescription.layersMax else {
                throw DomainDescription.unusable(
                    "\(self.target) has more than \(DomainDescription.layersMax) layers"
                )
            }
            let format = try backing.single("format")?.attribute("type")
            guard let layer = try DomainDiskLayer(backing, format: format) else {
                throw DomainDescription.unusable("a layer of \(self.target) has no source")
            }
            layers.append(layer)
            next = try backing.single("backingStore")
        }
        self.layers = layers
        isChainComplete = next != nil
    }

    private static func name(_ target: XMLElement) throws(GloveboxError) -> String {
        let name = try target.demanded("dev")
        let isPlain = name.utf8.allSatisfy {
            switch $0 {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            default: false
            }
        }
        guard isPlain, name.utf8.count <= 32 else {
            throw DomainDescription.unusable("a disk has the target \(name.debugDescription)")
        }
        return name
    }

    private static func device(
        _ element: XMLElement,
        _ target: String
    ) throws(GloveboxError) -> Device {
        switch element.attribute("device") {
        case nil, "disk": return .disk
        case "cdrom": return .cdrom
        case "floppy": return .floppy
        case "lun": return .lun
        case .some(let other):
            throw DomainDescription.unusable("\(target) is a device \(other.debugDescription)")
        }
    }
}
