internal import Casework
internal import Custody
internal import DiskFormats
internal import JSON

/// An instance in a listing: a line for the domain, and one for each of its disks.
struct InstanceRow {
    static let heading = row("ID", "NAME", "STATE", "UUID", "NOVA NAME", "PROJECT", "FLAVOR")

    /// Why the domain could not be described.
    let failure: GloveboxError?
    private let facts: DomainFacts
    private let domain: DomainDescription?
    private let disks: [Disk]

    /// A disk, as far as it is known.
    private struct Disk {
        let target: String
        let name: String?
        let layers: [(path: String, format: String)]
        let byteCount: UInt64?
        /// Why it cannot be read.
        let obstacle: String?
    }

    init(_ facts: DomainFacts) {
        self.facts = facts
        do throws(GloveboxError) {
            let domain = try DomainDescription(xml: facts.description)
            self.domain = domain
            disks = Self.disks(of: domain)
            failure = nil
        } catch {
            domain = nil
            disks = []
            failure = GloveboxError(error.kind, "\(facts.name): \(error.message)")
        }
    }

    private static func disks(of domain: DomainDescription) -> [Disk] {
        let known = DomainDisks(domain)
        return domain.disks.map { disk in
            let layers = disk.layers.map { layer in
                (path: layer.location ?? "-", format: layer.format ?? "unknown")
            }
            if let readable = known.readable.first(where: { $0.target == disk.target }) {
                var options = AttachOptions(locking: .none)
                options.chain = readable.chain
                let image = Result { () throws(AttachError) in
                    try attach(readable.path, options: options)
                }
                return Disk(
                    target: disk.target,
                    name: readable.name,
                    layers: layers,
                    byteCount: (try? image.get())?.source.byteCount,
                    obstacle: image.obstacle
                )
            }
            let refused = known.refused.first { $0.target == disk.target }
            return Disk(
                target: disk.target,
                name: nil,
                layers: layers,
                byteCount: nil,
                obstacle: refused.map { "\($0.message) \($0.advice)" }
            )
        }
    }

    /// What people read, a line each; to be made harmless for terminals.
    var lines: [String] {
        let nova = domain?.nova
        let heading = Self.row(
            facts.status.id.map { "\($0)" } ?? "-",
            facts.name,
            state,
            facts.uuid,
            nova?.instanceName ?? "-",
            nova?.project?.name ?? "-",
            nova?.flavor ?? "-"
        )
        return disks.reduce(into: [heading]) { lines, disk in
            let size = disk.byteCount.map(humanSize) ?? "-"
            let chain = disk.layers.map { "\($0.path) (\($0.format))" }.joined(separator: " ← ")
            let name = disk.name ?? disk.target
            lines.append("      \(name.padded(to: 12)) \(size.aligned(to: 10))  \(chain)")
            if let obstacle = disk.obstacle {
                lines.append("                   not readable here: \(obstacle)")
            }
        }
    }

    private var state: String {
        let status = facts.status
        var state = status.state.rawValue
        if let reason = status.pauseReason { state += " (\(reason.rawValue))" }
        if status.hasManagedSave { state += " (saved)" }
        return state
    }

    /// What programs read, with its newline.
    var json: [UInt8] {
        var json = JSONText()
        json.object { json in
            json.member("uuid", facts.uuid)
            json.member("name", facts.name)
            if let id = facts.status.id { json.member("id", Int(id)) }
            json.member("state", facts.status.state.rawValue)
            if let reason = facts.status.pauseReason { json.member("paused", reason.rawValue) }
            json.member("job", facts.status.job.rawValue)
            json.member("managed_save", facts.status.hasManagedSave)
            if let failure { json.member("error", Message.readable(failure.message)) }
            if let nova = domain?.nova { Self.write(nova, to: &json) }
            json.key("disks")
            json.array { json in for disk in disks { Self.write(disk, to: &json) } }
        }
        json.endLine()
        return json.bytes
    }

    private static func write(_ nova: NovaMetadata, to json: inout JSONText) {
        json.key("nova")
        json.object { json in
            json.member(orNull: "name", nova.instanceName)
            json.member(orNull: "flavor", nova.flavor)
            json.member(orNull: "created", nova.creationTime)
            json.member(orNull: "image", nova.rootImage)
            if let user = nova.user {
                json.member("user_id", user.id)
                json.member("user", user.name)
            }
            if let project = nova.project {
                json.member("project_id", project.id)
                json.member("project", project.name)
            }
        }
    }

    private static func write(_ disk: Disk, to json: inout JSONText) {
        json.object { json in
            json.member("target", disk.target)
            json.member(orNull: "name", disk.name)
            if let byteCount = disk.byteCount { json.member("size", byteCount) }
            json.key("layers")
            json.array { json in
                for layer in disk.layers {
                    json.object { json in
                        json.member("path", layer.path)
                        json.member("format", layer.format)
                    }
                }
            }
            if let obstacle = disk.obstacle { json.member("error", Message.readable(obstacle)) }
        }
    }

    private static func row(
        _ id: String,
        _ name: String,
        _ state: String,
        _ uuid: String,
        _ nova: String,
        _ project: String,
        _ flavor: String
    ) -> String {
        let cells = [
            id.aligned(to: 4), name.padded(to: 18), state.padded(to: 14), uuid.padded(to: 36),
            nova.padded(to: 16), project.padded(to: 12), flavor,
        ]
        return cells.joined(separator: "  ")
    }
}

extension Result where Failure == AttachError {
    /// Why it is none; nil where it is one.
    fileprivate var obstacle: String? {
        guard case .failure(let error) = self else { return nil }
        return error.description
    }
}
