internal import Digests

extension ApprovalDocument.Subject {
    /// What an approval for `target` is to be about: the instance whose it is by this host's policy,
    /// or else the digests of its layers.
    ///
    /// `target` may be a uuid by itself, since who asks need not be on the host. Hashing attaches
    /// the image and locks it as a reader does; nothing of it is shown.
    package init(of target: String, attaching options: AttachOptions) throws(GloveboxError) {
        if ApprovalDocument.isUUID(target.lowercased()) {
            self = .instance(target.lowercased())
            return
        }
        let located = try Target(target)
        let directories =
            try ApprovalGate.hostPolicy().policy?.instancesDirectories
            ?? Policy.usualInstancesDirectories
        let survey = try TargetSurvey(located, options, NovaInstances(directories))
        if let instance = survey.instance {
            self = .instance(instance)
            return
        }
        guard located.disks.count == 1, let disk = located.disks.first else {
            throw GloveboxError(
                .usage,
                "\(target) is of no instance of this host, and has \(located.disks.count) disks.",
                advice: "An approval is for an instance, or for one image: give that as TARGET."
            )
        }
        let image: AttachedDisk
        do throws(AttachError) { image = try attach(disk.path, options: options) } catch {
            throw GloveboxError(error)
        }
        self = .image(try Admission.digests(of: image))
    }
}
