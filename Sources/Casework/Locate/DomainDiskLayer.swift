internal import XML

/// One file, device or network disk of a domain's disk.
package struct DomainDiskLayer: Equatable, Sendable {
    /// Where the bytes are.
    package enum Source: Equatable, Sendable {
        /// A file of the host.
        case file(path: String)
        /// A block device of the host.
        case block(path: String)
        /// A directory that QEMU shows as a FAT disk.
        case directory(path: String)
        /// A disk that QEMU reaches by a protocol such as `rbd`, `nbd` or `iscsi`.
        case network(protocol: String, name: String)
        /// A volume of a storage pool of libvirt's.
        case volume(pool: String, volume: String)
        /// A controller that QEMU drives itself.
        case nvme
        /// A process that serves the disk on a socket.
        case vhostUser
        /// Another kind, by libvirt's name for it.
        case other(type: String)
    }

    /// What makes the guest's bytes other than those that the source has by its format.
    package enum Feature: String, Equatable, Sendable, CaseIterable {
        /// Encrypted; QEMU has the key.
        case encryption
        /// Only a part of the source counts.
        case slices
        /// The data stands in another file than the metadata.
        case dataStore
        /// QEMU was given an open file, so that the path need not name it.
        case fileDescriptors = "fdgroup"
    }

    /// Where the bytes are.
    package let source: Source
    /// The format, such as `raw` or `qcow2`; nil where it is not stated.
    package let format: String?
    /// What else has to be known to read it.
    package let features: Set<Feature>

    /// The path or the name that ends in what the layer is called; nil where it has none.
    package var location: String? {
        switch source {
        case .file(let path), .block(let path), .directory(let path): path
        case .network(_, let name): name
        case .volume(_, let volume): volume
        case .nvme, .vhostUser, .other: nil
        }
    }

    private init(source: Source, format: String?, features: Set<Feature>) {
        self.source = source
        self.format = format
        self.features = features
    }

    /// Reads `<disk>` or `<backingStore>`; nil where no source is stated.
    init?(_ element: XMLElement, format: String?) throws(GloveboxError) {
        let type = try element.demanded("type")
        guard let source = try element.single("source"),
            let found = try Self.source(source, type)
        else {
            // A drive of these kinds can be without a medium; of the others nothing is missing.
            guard ["file", "block", "dir", "network", "volume"].contains(type) else {
                self.init(source: .other(type: type), format: format, features: [])
                return
            }
            return nil
        }
        var features: Set<Feature> = []
        for feature in [Feature.encryption, .slices, .dataStore]
        where !source.children(feature.rawValue).isEmpty {
            features.insert(feature)
        }
        if source.attribute(Feature.fileDescriptors.rawValue) != nil {
            features.insert(.fileDescriptors)
        }
        self.init(source: found, format: format, features: features)
    }

    private static func source(
        _ source: XMLElement,
        _ type: String
    ) throws(GloveboxError) -> Source? {
        switch type {
        case "file": source.attribute("file").map { .file(path: $0) }
        case "block": source.attribute("dev").map { .block(path: $0) }
        case "dir": source.attribute("dir").map { .directory(path: $0) }
        case "network":
            .network(
                protocol: try source.demanded("protocol"),
                name: source.attribute("name") ?? ""
            )
        case "volume":
            .volume(pool: try source.demanded("pool"), volume: try source.demanded("volume"))
        case "nvme": .nvme
        case "vhostuser": .vhostUser
        default: .other(type: type)
        }
    }

    /// The same with one more feature.
    func with(_ feature: Feature) -> DomainDiskLayer {
        DomainDiskLayer(source: source, format: format, features: features.union([feature]))
    }
}
