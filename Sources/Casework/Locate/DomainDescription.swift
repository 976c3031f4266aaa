package import Custody
internal import XML

/// What libvirt says a domain is: the parts of its XML that matter for reading its disks.
///
/// Checked as far as a text can be: the identity has its form, no disk is named twice, chains end
/// within ``layersMax``. Who wrote what in it differs: formats and paths are libvirt's own, names
/// in ``nova`` are chosen by users, and none of it is fit for a terminal unescaped. Source:
/// libvirt.org/formatdomain.html.
package struct DomainDescription: Equatable, Sendable {
    /// The most disks that a domain may have.
    package static let disksMax = 64
    /// The most files in the chain of one disk.
    package static let layersMax = 16

    /// The uuid in lower case, which for an instance of Nova is the instance's.
    package let uuid: String
    /// The name by which libvirt knows it, such as `instance-0000002a`.
    package let name: String
    /// The number of this run; nil in the description of a domain that is not running.
    package let id: Int32?
    /// The hypervisor, such as `kvm` or `qemu`.
    package let type: String
    /// The program that runs it.
    package let emulator: String?
    /// What Nova noted about the instance; nil for a domain that is not Nova's.
    package let nova: NovaMetadata?
    /// The user and group of its QEMU, where libvirt states them as numbers.
    package let owner: Owner?
    /// Its disks in the order of the description.
    package let disks: [DomainDisk]
    /// Whether Nova has started it from a rescue image, with its own disk beside that.
    package let isNovaRescue: Bool

    /// The run that it describes; nil where it is not running.
    package var run: DomainRun? { id.map { DomainRun(uuid: uuid, id: $0) } }

    /// A user and a group of the host.
    package struct Owner: Equatable, Sendable {
        /// The user's number.
        package let userID: UInt32
        /// The group's number.
        package let groupID: UInt32

        /// Reads `+64055:+64055`, the label of libvirt's DAC driver; nil for names and other forms.
        init?(label: String) {
            let parts = label.split(separator: ":", omittingEmptySubsequences: false)
            // -1 means no change to chown(2), and is nobody's number.
            let numbers = parts.compactMap { part in
                let digits = part.hasPrefix("+") ? part.dropFirst() : part
                return UInt32(digits).flatMap { $0 == .max || !digits.isDecimal ? nil : $0 }
            }
            guard parts.count == 2, numbers.count == 2 else { return nil }
            userID = numbers[0]
            groupID = numbers[1]
        }
    }

    /// Reads the whole description.
    package init(xml text: String) throws(GloveboxError) {
        let root: XMLElement
        do throws(XMLError) { root = try XMLElement(text) } catch {
            throw Self.unusable("it is not XML as libvirt writes it: \(error)")
        }
        try self.init(root)
    }

    private init(_ domain: XMLElement) throws(GloveboxError) {
        guard domain.name.isPlain("domain") else {
            throw Self.unusable("it is no domain but \(domain.name.local.debugDescription)")
        }
        uuid = try Self.uuid(domain)
        guard let name = try domain.single("name")?.text, !name.isEmpty, name.utf8.count <= 1024
        else { throw Self.unusable("its name is missing or too long") }
        self.name = name
        id = try Self.id(domain)
        type = try domain.demanded("type")
        let devices = try domain.single("devices")
        emulator = try devices?.single("emulator")?.text
        nova = try NovaMetadata(of: try domain.single("metadata"))
        owner = domain.children("seclabel").filter { $0.attribute("model") == "dac" }
            .compactMap { $0.children("label").first }.first.flatMap { Owner(label: $0.text) }
        let elements = devices?.children("disk") ?? []
        guard elements.count <= Self.disksMax else {
            throw Self.unusable("it has more than \(Self.disksMax) disks")
        }
        var disks: [DomainDisk] = []
        for element in elements {
            let disk = try DomainDisk(element)
            guard !disks.contains(where: { $0.target == disk.target }) else {
                throw Self.unusable("it has two disks \(disk.target.debugDescription)")
            }
            disks.append(disk)
        }
        self.disks = disks
        let kernel = try domain.single("os")?.single("kernel")?.text
        isNovaRescue =
            kernel.map(Self.isRescue) ?? false
            || disks.contains { $0.layers.first?.location.map(Self.isRescue) ?? false }
    }

    /// Nova's names: `…/disk.rescue`, `POOL/UUID_disk.rescue`, `…/kernel.rescue`.
    private static func isRescue(_ location: String) -> Bool {
        let name = location.baseName
        return ["disk.rescue", "kernel.rescue"].contains { name == $0 || name.hasSuffix("_\($0)") }
    }

    private static func uuid(_ domain: XMLElement) throws(GloveboxError) -> String {
        let text = try domain.single("uuid")?.text.lowercased() ?? ""
        guard ApprovalDocument.isUUID(text) else {
            throw unusable("its uuid is \(text.debugDescription)")
        }
        return text
    }

    private static func id(_ domain: XMLElement) throws(GloveboxError) -> Int32? {
        guard let text = domain.attribute("id") else { return nil }
        guard let id = Int32(text), id > 0, text.isDecimal else {
            throw unusable("its id is \(text.debugDescription)")
        }
        return id
    }

    /// An error that says of the description what is wrong with it.
    static func unusable(_ why: String) -> GloveboxError {
        GloveboxError(
            .unreadable,
            "The description of the domain cannot be used: \(why).",
            advice: "Compare it with what `virsh dumpxml` prints."
        )
    }
}

extension StringProtocol {
    /// Whether there is nothing in it but digits: Swift's numbers also begin with a sign.
    var isDecimal: Bool { utf8.allSatisfy { 0x30...0x39 ~= $0 } }
}

extension XMLElement {
    /// The one element of that name directly in it; throws where there are more.
    func single(_ name: String) throws(GloveboxError) -> XMLElement? {
        let found = children(name)
        guard found.count <= 1 else {
            throw DomainDescription.unusable("\(self.name.local) has more than one \(name)")
        }
        return found.first
    }

    /// The attribute of that name, which must be there and not empty.
    func demanded(_ name: String) throws(GloveboxError) -> String {
        guard let value = attribute(name), !value.isEmpty else {
            throw DomainDescription.unusable("\(self.name.local) lacks \(name)")
        }
        return value
    }
}
