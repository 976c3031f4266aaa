internal import Linux

/// Whose the files of a target are.
struct TargetSurvey {
    /// A disk, or the target's directory, and whose it is.
    private struct Part {
        let path: String
        let place: NovaInstances.Place
        let isDisk: Bool
    }

    /// Every layer that was looked at; nil where this host has no instances, so that none was.
    let seen: Set<FileStatus.Identity>?
    private let parts: [Part]
    private let domain: Target.Domain?

    /// Looks at the directory of the target and at the layers of its disks.
    init(
        _ target: Target,
        _ options: AttachOptions,
        _ instances: NovaInstances
    ) throws(GloveboxError) {
        domain = target.domain
        guard !instances.isEmpty else {
            seen = nil
            parts = target.disks.map { Part(path: $0.path, place: .init(), isDisk: true) }
            return
        }
        var seen: Set<FileStatus.Identity> = []
        var parts: [Part] = []
        for disk in target.disks {
            var place = NovaInstances.Place()
            var options = options
            options.chain = disk.chain
            for file in LayerSurvey.files(of: disk.path, options) {
                seen.insert(file.status.identity)
                place.formUnion(try instances.place(realPath: file.realPath, file.status))
            }
            parts.append(Part(path: disk.path, place: place, isDisk: true))
        }
        if target.domain == nil, let part = try Self.directory(target, instances) {
            parts.append(part)
        }
        self.seen = seen
        self.parts = parts
        if let domain { try Self.refuseStrangers(parts, domain) }
    }

    /// libvirt and the directories have to agree on whose the disks are.
    private static func refuseStrangers(
        _ parts: [Part],
        _ domain: Target.Domain
    ) throws(GloveboxError) {
        for part in parts {
            guard let other = part.place.instances.first(where: { $0 != domain.uuid }) else {
                continue
            }
            throw GloveboxError(
                .refused,
                "libvirt says that \(part.path) is a disk of \(domain.uuid), but it lies in the "
                    + "directory of instance \(other).",
                advice: "Find out why before anything is read: virsh domblklist \(domain.uuid)."
            )
        }
    }

    private static func directory(
        _ target: Target,
        _ instances: NovaInstances
    ) throws(GloveboxError) -> Part? {
        let status: FileStatus
        let realPath: String
        do throws(SystemError) {
            let directory = try FileDescriptor.open(target.path, FileDescriptor.pathOnly)
            status = try directory.status()
            realPath = try directory.realPath()
        } catch {
            throw GloveboxError(.unreadable, "\(error)")
        }
        guard status.kind == .directory else { return nil }
        let place = try instances.place(realPath: realPath, status)
        return Part(path: target.path, place: place, isDisk: false)
    }

    /// Whether any part of it is in an instances directory, or Nova says that it is an instance.
    var isOfInstance: Bool { parts.contains(where: \.place.isInside) || domain?.isNovas == true }

    /// The uuid of the only instance that it has parts of.
    var instance: String? {
        if let domain { return isOfInstance ? domain.uuid : nil }
        let all = parts.reduce(into: Set<String>()) { $0.formUnion($1.place.instances) }
        return all.count == 1 ? all.first : nil
    }

    /// What of it is not of the instance `uuid`, as a sentence; nil where everything is.
    ///
    /// A backing file in `_base` belongs to whoever has it, but is nobody's by itself. What libvirt
    /// says is a disk of the instance is so, wherever it lies.
    func firstPlace(notOf uuid: String) -> String? {
        if let domain { return domain.uuid == uuid ? nil : "this is instance \(domain.uuid)" }
        for part in parts {
            if let other = part.place.instances.first(where: { $0 != uuid }) {
                return "\(part.path) is of instance \(other)"
            }
            if part.isDisk, part.place.instances.isEmpty {
                return "\(part.path) is of no instance by itself"
            }
        }
        return nil
    }
}
