internal import Casework
internal import Digests
internal import DiskFormats
internal import Glovebox
internal import Linux

/// What this invocation leaves in the audit log.
struct AuditTrail {
    /// Where the log is; nil for the program's own place.
    let stateDirectory: String?

    /// The log of this user's.
    func log() throws(GloveboxError) -> AuditLog {
        let installation: Installation
        do throws(SystemError) { installation = try .current() } catch {
            throw GloveboxError(.unreadable, "\(error).")
        }
        let own = installation.stateDirectory(
            chosen: nil,
            userID: OwnProcess.effectiveUserID,
            home: OwnProcess.variable("HOME")
        )
        guard let directory = stateDirectory ?? own else {
            throw GloveboxError(
                .refused,
                "There is no place for the audit log: HOME is not set.",
                advice: "Give a directory with --state-dir."
            )
        }
        return AuditLog(directory: directory, isElsewhere: directory != own)
    }

    /// Records that `instance` is read by this invocation, before anything of it is shown.
    ///
    /// An instance is not read without that. A loose image is, with a warning; its line is not waited
    /// for until it is on the disk, so that a read takes no longer than before.
    func recordReading(of instance: Instance) throws(GloveboxError) -> AuditRecord? {
        let subject = AuditSubject(instance)
        let reading = AuditEvent.Reading(
            arguments: Program.arguments,
            target: subject.path,
            instance: subject.instance
        )
        do throws(GloveboxError) {
            return try log().append(.read(reading), durably: subject.isRequired)
        } catch {
            guard !subject.isRequired else {
                throw GloveboxError(
                    .refused,
                    "\(error.message) What is read of an instance is recorded first.",
                    advice: error.advice
                )
            }
            Message.warn("\(error)")
            return nil
        }
    }

    /// Records that the evidence bag at `path` is complete, with the digest of its tag manifest.
    @discardableResult
    func recordSeal(
        ofBag path: String,
        tagManifest: Digest
    ) throws(GloveboxError) -> AuditRecord {
        let file = try? FileDescriptor.open(path, FileDescriptor.pathOnly)
        let bag = (try? file?.realPath()) ?? path
        return try log().append(.sealed(bag: bag, tagManifest: tagManifest), durably: true)
    }
}

/// What the audit log says of a target.
private struct AuditSubject {
    /// Its path, free of symbolic links where it has one.
    let path: String
    /// The instance's UUID.
    let instance: String?
    /// Whether it is not to be read unless that is recorded.
    var isRequired: Bool { instance != nil }

    private static let instances = "/var/lib/nova/instances/"

    init(_ instance: Instance) {
        let file = try? FileDescriptor.open(instance.target, FileDescriptor.pathOnly)
        path = (try? file?.realPath()) ?? instance.target
        let inside = path.hasPrefix(Self.instances) ? path.dropFirst(Self.instances.count) : ""
        self.instance = inside.split(separator: "/").first.map(String.init)
    }
}
