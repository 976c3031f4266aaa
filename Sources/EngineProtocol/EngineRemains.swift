internal import Glibc
package import Linux

/// What an engine leaves on disk: its one directory.
///
/// A directory is in use for as long as the guardian that made it has it locked. Where all who watch
/// over it are killed at once, the lock goes with them, and the next engine removes it.
package enum EngineRemains {
    private static let prefix = "glovebox-"
    private static let digitsCount = 16
    private static let attemptsMax = 10

    /// A path beneath `parent` that nobody has.
    package static func newPath(beneath parent: String) -> String {
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        let zeros = String(repeating: "0", count: digitsCount - digits.count)
        return "\(parent)/\(prefix)\(zeros)\(digits)"
    }

    /// Makes the directory, which must not exist; it is in use until the result is closed.
    package static func make(_ directory: String) throws(SystemError) -> FileDescriptor {
        let (parent, name) = split(directory)
        let above = try FileDescriptor.openDirectory(parent)
        for _ in 0..<attemptsMax {
            try above.makeDirectory([UInt8](name.utf8))
            // Until it is locked, another engine may take it for one that was left behind.
            if let made = try? FileDescriptor.openDirectory(directory), try isTaken(made, directory)
            {
                return made
            }
        }
        throw SystemError(call: "flock", path: directory, errno: EWOULDBLOCK)
    }

    /// Whether the directory is locked by us, and still what its name leads to.
    static func isTaken(
        _ made: FileDescriptor,
        _ directory: String
    ) throws(SystemError) -> Bool {
        do throws(SystemError) {
            guard try made.lockAlone() else { return false }
        } catch {
            // A file system without such locks: there nobody takes a directory for left behind.
            return true
        }
        guard let named = try? FileDescriptor.openDirectory(directory) else { return false }
        return try named.status().identity == made.status().identity
    }

    /// The directory in it that the worker and its appliance may write to.
    package static func workerDirectory(in directory: String) -> String { "\(directory)/w" }

    /// Removes the directory, which need not exist; for when all that used it has ended.
    package static func remove(_ directory: String) throws(SystemError) {
        try FileDescriptor.removeOwnDirectory(at: directory)
    }

    /// Removes what engines of this user have left beneath `parent`.
    ///
    /// Only directories with a name of ours are looked at, and of those only ours, to which nobody
    /// else can write, and which nobody has locked; no link is followed. What cannot be removed stays.
    package static func sweep(_ parent: String) {
        for name in (try? directoryNames(parent)) ?? [] where isOurs(name) {
            try? FileDescriptor.removeOwnDirectory(at: "\(parent)/\(name)", unlessInUse: true)
        }
    }

    /// The directory above, and the name in it.
    package static func split(_ directory: String) -> (parent: String, name: String) {
        let parts = directory.split(separator: "/")
        return ("/" + parts.dropLast().joined(separator: "/"), parts.last.map(String.init) ?? "")
    }

    static func isOurs(_ name: String) -> Bool {
        let digits = name.utf8.dropFirst(prefix.utf8.count)
        return name.hasPrefix(prefix) && digits.count == digitsCount
            && digits.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"):
                    true
                default: false
                }
            }
    }
}
