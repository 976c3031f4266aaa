internal import CLinux
internal import Glibc

/// A new file that has no name until it is complete, so that a crash leaves nothing behind.
///
/// Where the file system has no unnamed files (open(2), O_TMPFILE), it is written as
/// `NAME.partial` beside its place.
package struct PendingFile: ~Copyable {
    /// Where to write.
    package let descriptor: FileDescriptor
    private let path: String
    private let name: [CChar]
    private let partialName: [CChar]?

    /// Prepares the file `path`, which must not exist yet; others may not read it (mode 0600).
    package init(_ path: String) throws(SystemError) {
        self.path = path
        name = CommandLineBytes.terminated(path)
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let parent = parts.dropLast().joined(separator: "/")
        let directory = parts.count < 2 ? "." : parent.isEmpty ? "/" : parent
        guard unsafe faccessat(AT_FDCWD, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0 else {
            throw SystemError(call: "open", path: path, errno: EEXIST)
        }
        do throws(SystemError) {
            descriptor = try .open(directory, FileDescriptor.unnamed | O_WRONLY, mode: 0o600)
            partialName = nil
        } catch {
            guard error.errno == EOPNOTSUPP || error.errno == EISDIR else { throw error }
            let partial = path + ".partial"
            descriptor = try .open(partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            partialName = CommandLineBytes.terminated(partial)
        }
    }

    /// Writes everything to the disk and gives the file its name; fails where that exists by now.
    ///
    /// Where it throws, nothing is left behind.
    package consuming func publish() throws(SystemError) {
        do throws(SystemError) {
            try descriptor.synchronize()
            if let partialName {
                guard unsafe glovebox_rename_to_new(partialName, name) == 0 else {
                    throw .last("renameat2", path)
                }
            } else {
                let result = unsafe glovebox_link_descriptor(descriptor.number, AT_FDCWD, name)
                guard result == 0 else { throw .last("linkat", path) }
            }
        } catch {
            if let partialName { unsafe unlink(partialName) }
            throw error
        }
        try descriptor.close()
    }

    /// Leaves nothing behind.
    package consuming func discard() {
        if let partialName { unsafe unlink(partialName) }
    }
}

extension FileDescriptor {
    /// Opens what is there already, such as a FIFO or a device, for writing.
    package static func openForWriting(_ path: String) throws(SystemError) -> FileDescriptor {
        try open(path, O_WRONLY | O_NOCTTY)
    }
}
