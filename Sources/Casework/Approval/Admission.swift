package import Digests
internal import DiskFormats
internal import Linux

/// That a target may be opened, for one purpose, and what of it.
package struct Admission: Sendable {
    /// The approval, where one was needed or given.
    package let approval: Approval?
    /// The uuid of the instance whose the target is, if it is one's.
    package let instance: String?
    /// The layers that were looked at; nil where this host has no instances.
    private let seen: Set<FileStatus.Identity>?

    init(approval: Approval?, instance: String?, seen: Set<FileStatus.Identity>?) {
        self.approval = approval
        self.instance = instance
        self.seen = seen
    }

    /// What a path has to lie in; nil where there is no bound.
    package func limit(isOfGuestTree: Bool) -> ScopeLimit? {
        approval.map {
            ScopeLimit(
                scope: $0.scope,
                name: "\($0.id) (\($0.ticket))",
                isOfGuestTree: isOfGuestTree
            )
        }
    }

    /// Whether the approval is for bytes rather than for an instance, so that they must be hashed.
    package var isByDigest: Bool {
        guard case .image? = approval?.subject else { return false }
        return true
    }

    /// Refuses an image that is not what was admitted: files that were put in place of those that
    /// were looked at, or layers with other digests than were approved.
    package func confirm(_ image: AttachedDisk) throws(GloveboxError) {
        if let seen, !image.layers.allSatisfy({ seen.contains($0.identity) }) {
            throw GloveboxError(
                .refused,
                "\(image.path): its files were exchanged while it was being opened."
            )
        }
        guard case .image(let approved)? = approval?.subject else { return }
        guard approved == (try Self.digests(of: image)) else {
            throw GloveboxError(
                .refused,
                "\(image.path) is not the image that was approved: its layers have other digests.",
                advice: "`glovebox approve show` lists those of the approval."
            )
        }
    }

    /// The digest of each layer's file, read through the descriptor that is held open and locked.
    package static func digests(of image: AttachedDisk) throws(GloveboxError) -> [Digest] {
        var digests: [Digest] = []
        for (index, layer) in image.layers.enumerated() {
            guard let file = image.hostFile(index) else {
                throw GloveboxError(.unreadable, "\(layer.path) cannot be hashed.")
            }
            do throws(SystemError) {
                digests.append(try digest(of: file, byteCount: layer.fileSize))
            } catch {
                throw GloveboxError(.unreadable, "\(error)")
            }
        }
        return digests
    }

    private static func digest(
        of file: FileDescriptor,
        byteCount: UInt64
    ) throws(SystemError) -> Digest {
        var hash = SHA256()
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var offset: UInt64 = 0
        while true {
            let count = try file.read(into: &buffer, at: offset)
            let span = buffer.span
            hash.update(span.raw.extracting(first: count))
            offset += UInt64(count)
            if count < buffer.count { break }
        }
        guard offset == byteCount else {
            throw SystemError(call: "pread", path: file.path, errno: 5)
        }
        return hash.digest
    }
}
