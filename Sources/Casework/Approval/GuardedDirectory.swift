internal import Glibc
internal import Linux

/// What is wrong with the policy or one of its lists, so that nothing is opened.
package struct PolicyError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file.
    package let path: String
    /// The end of a sentence that begins with the file.
    package let reason: String

    /// The file and the reason, as a sentence.
    package var description: String { "\(path) \(reason)." }
}

/// A directory whose files only its owner can have written.
///
/// Owner and mode are those of the opened descriptor, and files are opened beneath it, so what was
/// checked is what is read. A symbolic link in the last place is refused, for the directory as well.
struct GuardedDirectory: Sendable {
    private let descriptor: FileDescriptor
    /// Who must own everything; nil where anybody may.
    private let owner: UInt32?

    /// Opens and checks it; nil where there is none.
    init?(_ path: String, owner: UInt32?) throws(PolicyError) {
        let status: FileStatus
        do throws(SystemError) {
            let follow = owner == nil ? 0 : O_NOFOLLOW
            descriptor = try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY | follow)
            status = try descriptor.status()
        } catch {
            if error.errno == ENOENT { return nil }
            if error.errno == ENOTDIR || error.errno == ELOOP {
                throw PolicyError(path: path, reason: "is not a directory, or a symbolic link")
            }
            throw PolicyError(path: path, reason: "cannot be opened: \(error.reason)")
        }
        self.owner = owner
        if let flaw = Self.flaw(in: status, of: .directory, owner) {
            throw PolicyError(path: path, reason: flaw)
        }
    }

    /// The file `name` in it, read once; nil where there is none.
    func content(of name: String, limit: Int) throws(PolicyError) -> [UInt8]? {
        let path = "\(descriptor.path)/\(name)"
        let flaw: String?
        do throws(SystemError) {
            // A FIFO would block.
            let flags = O_RDONLY | O_NONBLOCK | O_NOCTTY
            let resolve: PathResolution = owner == nil ? [] : [.beneath, .noSymbolicLinks]
            let file = try descriptor.open(name, flags, resolve: resolve)
            flaw = Self.flaw(in: try file.status(), of: .regular, owner)
            if flaw == nil { return try file.readAll(limit: limit) }
        } catch {
            switch error.errno {
            case ENOENT: return nil
            case ELOOP: throw PolicyError(path: path, reason: "is a symbolic link")
            case EFBIG: throw PolicyError(path: path, reason: "has more than \(limit) bytes")
            default: throw PolicyError(path: path, reason: "cannot be read: \(error.reason)")
            }
        }
        throw PolicyError(path: path, reason: flaw ?? "cannot be read")
    }

    /// What is wrong with the owner or the mode; nil where nothing is.
    private static func flaw(
        in status: FileStatus,
        of kind: FileStatus.Kind,
        _ owner: UInt32?
    ) -> String? {
        guard status.kind == kind else {
            return "is a \(status.kind.rawValue), no \(kind.rawValue)"
        }
        guard let owner else { return nil }
        guard status.userID == owner else {
            let whose = owner == 0 ? "root" : "user \(owner)"
            return "belongs to user \(status.userID), not to \(whose)"
        }
        guard status.permissions & 0o022 == 0 else {
            let mode = String(status.permissions, radix: 8)
            return "can be written by others than its owner (mode 0\(mode))"
        }
        return nil
    }
}
