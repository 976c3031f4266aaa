internal import Glibc
internal import Linux

/// Where QEMU makes the socket and the scratch files of a session's backup job.
///
/// The names are derived from the session's name and stored nowhere, so nobody can have them name
/// something else.
package struct ExportPlaces: Sendable {
    private static let parent = "exports"
    private static let targetBytesMax = 16
    /// What the address of a Unix socket has room for, without its NUL (unix(7)).
    private static let socketBytesMax = 107

    private let stateDirectory: String
    private let session: String

    /// Those of the session of that name.
    package init(stateDirectory: String, session: String) {
        self.stateDirectory = stateDirectory
        self.session = session
    }

    /// The session's own directory.
    package var directory: String { "\(stateDirectory)/\(Self.parent)/\(session)" }

    /// The socket of the NBD server.
    package var socket: String { "\(directory)/socket" }

    /// The scratch file of the disk with that target, such as `vda`.
    package func scratch(_ target: String) throws(SessionError) -> String {
        let isPlain = target.utf8.allSatisfy { byte in
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte
                || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
        }
        guard isPlain, 1...Self.targetBytesMax ~= target.utf8.count else {
            throw .refused("a disk's target is not one to name a file after")
        }
        return "\(directory)/scratch-\(target)"
    }

    /// Makes the directory, which must not exist, for `owner` alone; for this user where it is nil.
    ///
    /// Others are let through the directories above it, which they still cannot list.
    package func make(owner: HoldOrder.Owner?) throws(SessionError) {
        try refuseOddName()
        guard socket.utf8.count <= Self.socketBytesMax else {
            throw .refused(
                "\(socket) is too long for a socket: \(Self.socketBytesMax) bytes at most"
            )
        }
        let state = try SessionPlace.madeState(stateDirectory)
        let exports = try SessionPlace.madeExports(Self.parent, in: state)
        try inSession { () throws(SystemError) in
            try exports.makeDirectory(Array(session.utf8))
            guard let owner, owner.user != OwnProcess.effectiveUserID else { return }
            let made = try exports.open(session, O_RDONLY | O_DIRECTORY, resolve: Self.within)
            try made.setOwner(user: owner.user, group: owner.group)
            let permissions = try state.status().permissions
            if permissions & 0o011 != 0o011 { try state.setPermissions(permissions | 0o011) }
        }
    }

    /// Removes the directory and all in it; no error where there is none.
    package func remove() throws(SessionError) {
        try refuseOddName()
        guard let state = try SessionPlace.state(stateDirectory),
            let exports = try SessionPlace.exports(Self.parent, in: state)
        else { return }
        do throws(SystemError) {
            let left = try exports.open(
                session,
                O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
                resolve: Self.within
            )
            // From here on its owner of before can change nothing in it.
            let user = OwnProcess.effectiveUserID
            if try left.status().userID != user {
                try left.setOwner(user: user, group: OwnProcess.effectiveGroupID)
            }
            try left.setPermissions(0o700)
            try FileDescriptor.removeOwnDirectory(at: directory)
        } catch {
            if error.errno != ENOENT { throw .system(error) }
        }
    }

    private static let within: PathResolution = [.beneath, .noSymbolicLinks, .noMagicLinks]

    private func refuseOddName() throws(SessionError) {
        guard SessionForm.isName(session) else { throw .noSession(session) }
    }
}
