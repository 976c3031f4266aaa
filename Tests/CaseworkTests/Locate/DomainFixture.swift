import Foundation
import Testing

@testable import Casework

/// The descriptions of domains under Domains, and small ones made on the spot.
enum DomainFixture {
    static func text(_ name: String) throws -> String {
        let file = "Domains/\(name).xml"
        let url = try #require(Bundle.module.url(forResource: file, withExtension: nil))
        return String(decoding: try Data(contentsOf: url), as: UTF8.self)
    }

    static func description(_ name: String) throws -> DomainDescription {
        try DomainDescription(xml: try text(name))
    }

    static let uuid = "4f1c2a9e-6b0d-4e0f-9c55-0d8f6b1a7e21"

    /// A running domain with the given disks and whatever else.
    static func xml(
        _ disks: String = "",
        metadata: String = "",
        id: String = "id='1'",
        also: String = ""
    ) -> String {
        """
        <domain type='kvm' \(id)><name>one</name><uuid>\(uuid)</uuid>
        <metadata>\(metadata)</metadata><devices>\(disks)</devices>\(also)</domain>
        """
    }

    static func domain(_ disks: String) throws(GloveboxError) -> DomainDescription {
        try DomainDescription(xml: xml(disks))
    }

    /// A disk in a file.
    static func disk(
        _ path: String = "/srv/disk",
        dev: String = "vda",
        format: String = "type='raw'",
        source: String = "",
        also: String = "<backingStore/>"
    ) -> String {
        """
        <disk type='file' device='disk'><driver name='qemu' \(format)/>
        <source file='\(path)'>\(source)</source>\(also)<target dev='\(dev)' bus='virtio'/></disk>
        """
    }
}
