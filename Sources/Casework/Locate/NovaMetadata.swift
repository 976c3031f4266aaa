internal import XML

/// What Nova's libvirt driver notes about an instance in the metadata of its domain.
///
/// A statement of Nova's when it last wrote it, and no proof. Names are chosen by users and may
/// hold any character that XML can carry; escape them before a terminal sees them.
package struct NovaMetadata: Equatable, Sendable {
    /// A user or project of Keystone.
    package struct Party: Equatable, Sendable {
        /// Its id, which is mostly 32 hexadecimal digits, but need not be.
        package let id: String
        /// Its name at that time.
        package let name: String
    }

    /// The minor version of the namespace, 1 for `…/nova/1.1`.
    package let version: UInt16
    /// The name that the user gave the instance.
    package let instanceName: String?
    /// When it was created, as Nova writes it: `2026-03-04 09:02:53` in UTC.
    package let creationTime: String?
    /// The name of its flavor.
    package let flavor: String?
    /// Who started it.
    package let user: Party?
    /// The project that it belongs to.
    package let project: Party?
    /// The uuid of the image that its root disk was made from; nil where it boots from a volume.
    package let rootImage: String?

    /// Where the namespaces of Nova's metadata begin; a minor version follows.
    private static let namespace = "http://openstack.org/xmlns/libvirt/nova/1."
    /// The longest text in bytes; Nova's own limits are at 255 characters.
    private static let textMax = 4096

    /// Finds Nova's element in `metadata`; nil where there is none.
    ///
    /// Of several the newest counts: an instance that was started by an older Nova keeps what that
    /// wrote when a newer one adds its own.
    init?(of metadata: XMLElement?) throws(GloveboxError) {
        var newest: (version: UInt16, element: XMLElement)?
        for element in metadata?.children ?? [] where element.name.local == "instance" {
            guard let version = Self.version(element.name) else { continue }
            guard version != newest?.version else {
                throw DomainDescription.unusable("it has two notes of Nova's of one version")
            }
            if version > newest?.version ?? 0 || newest == nil { newest = (version, element) }
        }
        guard let (version, element) = newest else { return nil }
        func child(_ name: String, of parent: XMLElement) throws(GloveboxError) -> XMLElement? {
            let found = parent.children.filter {
                $0.name == XMLName(name, in: element.name.namespace)
            }
            guard found.count <= 1 else {
                throw DomainDescription.unusable("Nova's note has more than one \(name)")
            }
            return found.first
        }
        self.version = version
        instanceName = try Self.checked(try child("name", of: element)?.text)
        creationTime = try Self.checked(try child("creationTime", of: element)?.text)
        flavor = try Self.checked(try child("flavor", of: element)?.attribute("name"))
        let owner = try child("owner", of: element)
        user = try Self.party(
            try owner.flatMap { owner throws(GloveboxError) in
                try child("user", of: owner)
            }
        )
        project = try Self.party(
            try owner.flatMap { owner throws(GloveboxError) in
                try child("project", of: owner)
            }
        )
        let root = try child("root", of: element)
        let image = root?.attribute("type") == "image" ? root?.attribute("uuid") : nil
        rootImage = image.flatMap {
            ApprovalDocument.isUUID($0.lowercased()) ? $0.lowercased() : nil
        }
    }

    private static func version(_ name: XMLName) -> UInt16? {
        guard let namespace = name.namespace, namespace.hasPrefix(Self.namespace) else {
            return nil
        }
        let digits = namespace.dropFirst(Self.namespace.count)
        return digits.isDecimal ? UInt16(digits) : nil
    }

    private static func party(_ element: XMLElement?) throws(GloveboxError) -> Party? {
        guard let element, let id = try checked(element.attribute("uuid")), !id.isEmpty else {
            return nil
        }
        return Party(id: id, name: try checked(element.text) ?? "")
    }

    private static func checked(_ text: String?) throws(GloveboxError) -> String? {
        guard let text, text.utf8.count > textMax else { return text }
        throw DomainDescription.unusable("a text in Nova's note is longer than \(textMax) bytes")
    }
}
