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
        let directory = Self.directory(of: path)
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

extension PendingFile {
    /// The directory that `path` lies in; `.` where it names none.
    package static func directory(of path: String) -> String {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let parent = parts.dropLast().joined(separator: "/")
        return parts.count < 2 ? "." : parent.isEmpty ? "/" : parent
    }

    /// A file for writing and reading that never has a name for long, in `directory`.
    ///
    /// Where the file system has no unnamed files, it is made as `NAME` and unlinked at once.
    package static func scratch(
        in directory: FileDescriptor,
        _ name: String
    ) throws(SystemError) -> FileDescriptor {
        do throws(SystemError) {
            return try directory.open(
                ".",
                FileDescriptor.unnamed & ~O_WRONLY | O_RDWR,
                mode: 0o600,
                resolve: [.beneath, .noSymbolicLinks]
            )
        } catch {
            guard [EOPNOTSUPP, EISDIR, EINVAL].contains(error.errno) else { throw error }
            let file = try directory.open(
                name,
                O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW,
                mode: 0o600,
                resolve: [.beneath, .noSymbolicLinks]
            )
            try directory.removeFile(CommandLineBytes.decode(name))
            return file
        }
    }
}

extension FileDescriptor {
    /// Gives what is at `old` the name `new`, at which nothing may be yet (renameat2(2)).
    package static func rename(_ old: String, toNew new: String) throws(SystemError) {
        let (from, to) = (CommandLineBytes.terminated(old), CommandLineBytes.terminated(new))
        guard unsafe glovebox_rename_to_new(from, to) == 0 else { throw .last("renameat2", new) }
    }

    /// Whether there is something at `path`, be it a link that leads nowhere.
    package static func exists(_ path: String) -> Bool {
        let bytes = CommandLineBytes.terminated(path)
        return unsafe faccessat(AT_FDCWD, bytes, F_OK, AT_SYMLINK_NOFOLLOW) == 0
    }

    /// Opens what is there already, such as a FIFO or a device, for writing.
    package static func openForWriting(_ path: String) throws(SystemError) -> FileDescriptor {
        try open(path, O_WRONLY | O_NOCTTY)
    }
}
