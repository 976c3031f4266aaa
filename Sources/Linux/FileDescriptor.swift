internal import CLinux
internal import Glibc
internal import Synchronization

/// An open file, closed when its last owner goes.
///
/// Reading and writing at an offset is safe from several threads at once; ``close()`` is not to be
/// called while another thread uses the descriptor.
package final class FileDescriptor: Sendable {
    /// What the file is called in messages; not used to open anything.
    package let path: String
    /// Faults that tests inject into reads of this file; nil in production.
    package let faults: ReadFaults?
    private let stored: Atomic<CInt>

    /// Takes over an open descriptor; nobody else may close it.
    package init(adopting number: CInt, path: String, faults: ReadFaults? = nil) {
        self.path = path
        self.faults = faults
        self.stored = Atomic(number)
    }

    deinit {
        let number = stored.load(ordering: .acquiring)
        if number >= 0 { _ = Glibc.close(number) }
    }

    /// The number, for calls that are not wrapped here; -1 once it has been closed.
    package var number: CInt { stored.load(ordering: .relaxed) }

    /// Closes the file now, so that an error of a late write is not lost.
    package func close() throws(SystemError) {
        let number = stored.exchange(-1, ordering: .acquiringAndReleasing)
        guard number >= 0 else { return }
        // Linux has released the number even where close reports EINTR: never try again.
        guard Glibc.close(number) == 0 || errno == EINTR else { throw .last("close", path) }
    }
}

/// How the kernel is to resolve a path that openat2 gets (openat2(2), RESOLVE_*).
package struct PathResolution: OptionSet, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Nothing outside the directory can be reached; `..` and absolute links that leave it fail.
    package static let beneath = PathResolution(rawValue: GLOVEBOX_RESOLVE_BENEATH)
    /// The directory is the root for `..` and absolute links.
    package static let inRoot = PathResolution(rawValue: GLOVEBOX_RESOLVE_IN_ROOT)
    /// A symbolic link anywhere in the path fails.
    package static let noSymbolicLinks = PathResolution(rawValue: GLOVEBOX_RESOLVE_NO_SYMLINKS)
    /// A magic link of /proc anywhere in the path fails.
    package static let noMagicLinks = PathResolution(rawValue: GLOVEBOX_RESOLVE_NO_MAGICLINKS)
    /// A mount point anywhere in the path fails.
    package static let noMountPoints = PathResolution(rawValue: GLOVEBOX_RESOLVE_NO_XDEV)
}

extension FileDescriptor {
    /// Only names a file, without opening it: neither device nor FIFO notices (open(2), O_PATH).
    package static let pathOnly: CInt = GLOVEBOX_O_PATH
    /// The same; a symbolic link names itself.
    package static let pathOnlyNoFollow: CInt = GLOVEBOX_O_PATH | O_NOFOLLOW
    /// An unnamed file in a directory (open(2), O_TMPFILE).
    package static let unnamed: CInt = GLOVEBOX_O_TMPFILE

    /// Opens `path`; O_CLOEXEC is always added.
    package static func open(
        _ path: String,
        _ flags: CInt,
        mode: UInt32 = 0,
        faults: ReadFaults? = nil
    ) throws(SystemError) -> FileDescriptor {
        try refuseNUL(in: path)
        let bytes = CommandLineBytes.terminated(path)
        let number = retrying { unsafe glovebox_openat(AT_FDCWD, bytes, flags | O_CLOEXEC, mode) }
        guard number >= 0 else { throw .last("open", path) }
        return FileDescriptor(adopting: number, path: path, faults: faults)
    }

    /// Opens `name` relative to this directory as openat2(2) resolves it; O_CLOEXEC is always added.
    package func open(
        _ name: String,
        _ flags: CInt,
        mode: UInt32 = 0,
        resolve: PathResolution
    ) throws(SystemError) -> FileDescriptor {
        let bytes = CommandLineBytes.decode(name)
        return try open(bytes, flags, mode: mode, resolve: resolve, describedAs: name)
    }

    /// The same for a name that need not be UTF-8.
    package func open(
        _ name: [UInt8],
        _ flags: CInt,
        mode: UInt32 = 0,
        resolve: PathResolution,
        describedAs description: String
    ) throws(SystemError) -> FileDescriptor {
        let full = "\(path)/\(description)"
        guard !name.contains(0) else {
            throw SystemError(call: "openat2", path: full, errno: EINVAL)
        }
        let flags = UInt64(UInt32(bitPattern: flags | O_CLOEXEC))
        let terminated = name.map { CChar(bitPattern: $0) } + [0]
        let number = retrying {
            unsafe glovebox_openat2(self.number, terminated, flags, UInt64(mode), resolve.rawValue)
        }
        guard number >= 0 else { throw .last("openat2", full) }
        return FileDescriptor(adopting: number, path: full)
    }

    /// Opens for reading the very file that this descriptor refers to, whatever its names do.
    package func reopen(
        _ flags: CInt,
        path: String? = nil,
        faults: ReadFaults? = nil
    ) throws(SystemError) -> FileDescriptor {
        let link = "/proc/self/fd/\(number)"
        let opened = retrying { unsafe glovebox_openat(AT_FDCWD, link, flags | O_CLOEXEC, 0) }
        guard opened >= 0 else { throw .last("open", self.path) }
        return FileDescriptor(adopting: opened, path: path ?? self.path, faults: faults)
    }

    /// Opens a directory to work in.
    package static func openDirectory(_ path: String) throws(SystemError) -> FileDescriptor {
        try open(path, O_RDONLY | O_DIRECTORY)
    }

    private static func refuseNUL(in path: String) throws(SystemError) {
        guard !path.utf8.contains(0) else {
            throw SystemError(call: "open", path: path, errno: EINVAL)
        }
    }
}

/// Repeats a call for as long as a signal interrupts it.
@inline(__always)
package func retrying<Value: SignedInteger>(_ call: () -> Value) -> Value {
    while true {
        let result = call()
        if result != -1 || errno != EINTR { return result }
    }
}
