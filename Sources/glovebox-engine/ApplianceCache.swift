internal import Glibc
internal import Linux

/// Where libguestfs keeps the appliance that it has built: `.guestfs-UID` in a directory.
///
/// libguestfs trusts what it finds there, so nobody else may have put it there. Root's worker is
/// ``Nobody``, as others may be: its cache lies in a directory that only root can enter.
enum ApplianceCache {
    private static let variable = "LIBGUESTFS_CACHEDIR"

    /// The cache of this process, which is made where it is missing; where that cannot be, one in
    /// `directory` that ends with it.
    static func prepare(orIn directory: String) -> String {
        let chosen = OwnProcess.variable(variable) ?? "/var/tmp"
        if let cache = try? make(in: chosen, for: OwnProcess.userID) { return cache }
        OwnProcess.setVariable(variable, directory)
        return directory
    }

    /// As root: makes the cache of root's workers, and says in the environment where it is.
    static func prepareForNobody() {
        let parent = (OwnProcess.variable(variable) ?? "/var/cache") + "/glovebox"
        do throws(SystemError) {
            try FileDescriptor.makeDirectory(at: parent)
            let status = try FileDescriptor.open(parent, FileDescriptor.pathOnlyNoFollow).status()
            guard status.kind == .directory, status.userID == 0, status.permissions & 0o077 == 0
            else { throw SystemError(call: "mkdir", path: parent, errno: EPERM) }
            _ = try make(in: parent, for: Nobody.userID)
            OwnProcess.setVariable(variable, parent)
        } catch {
            // Without one, each appliance is built anew, in the worker's own directory.
            OwnProcess.setVariable(variable, "/nonexistent")
        }
    }

    private static func make(
        in parent: String,
        for user: UInt32
    ) throws(SystemError) -> String {
        let path = "\(parent)/.guestfs-\(user)"
        try FileDescriptor.makeDirectory(at: path)
        let directory = try FileDescriptor.openDirectory(path)
        if try directory.status().userID != user {
            try directory.setOwner(user: user, group: user)
        }
        try directory.setPermissions(0o755)
        return path
    }
}
