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
        let subject = instance.instanceID ?? instance.domainID
        let isRequired = subject != nil || instance.approval != nil
        let reading = AuditEvent.Reading(
            arguments: Program.arguments,
            target: instance.domainID == nil ? Self.realPath(instance.target) : instance.target,
            instance: subject,
            approval: instance.approval?.id,
            reason: instance.reason
        )
        if isRequired { try refuseElsewhere() }
        do throws(GloveboxError) {
            return try log().append(.read(reading), durably: isRequired)
        } catch {
            guard !isRequired else {
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

    /// Root has one log of what it reads of instances; to choose another would be to leave it out.
    private func refuseElsewhere() throws(GloveboxError) {
        guard stateDirectory != nil, OwnProcess.effectiveUserID == 0 else { return }
        throw GloveboxError(
            .refused,
            "What root reads of an instance is recorded in the log of this installation.",
            advice: "Leave --state-dir out: it is for loose images, and for other users."
        )
    }

    /// Records that the evidence bag at `path` is complete, with the digest of its tag manifest.
    @discardableResult
    func recordSeal(
        ofBag path: String,
        tagManifest: Digest
    ) throws(GloveboxError) -> AuditRecord {
        try log().append(.sealed(bag: Self.realPath(path), tagManifest: tagManifest), durably: true)
    }

    /// The path free of symbolic links, where there is such a file.
    private static func realPath(_ path: String) -> String {
        let file = try? FileDescriptor.open(path, FileDescriptor.pathOnly)
        return (try? file?.realPath()) ?? path
    }
}
