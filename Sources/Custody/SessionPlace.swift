internal import Glibc
internal import Linux

/// The directories and files of sessions, opened and found to be nobody's but this user's.
///
/// Owner and mode are those of the opened descriptor, and what is beneath is opened through it, so
/// what was checked is what is read. No symbolic link is followed.
enum SessionPlace {
    static let sessions = "sessions"
    static let journal = "journal"
    /// A session that is being made, and one that is being removed.
    static let pending = ".new"
    static let removed = ".old"

    private static let within: PathResolution = [.beneath, .noSymbolicLinks, .noMagicLinks]
    private static let writableByOthers: UInt16 = 0o022
    private static let openToOthers: UInt16 = 0o077

    /// The directory of state, which others may enter but not write to; nil where there is none.
    static func state(_ path: String) throws(SessionError) -> FileDescriptor? {
        let opened = try open(path) { () throws(SystemError) in
            try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        }
        guard let opened else { return nil }
        try refuse(opened, unless: .directory, closedTo: writableByOthers)
        return opened
    }

    /// The same; it is made, and what is above it, where there is none.
    static func madeState(_ path: String) throws(SessionError) -> FileDescriptor {
        if let found = try state(path) { return found }
        try inSession { () throws(SystemError) in
            let parts = path.split(separator: "/", omittingEmptySubsequences: false)
            for count in 1..<max(1, parts.count) {
                let parent = parts[..<count].joined(separator: "/")
                if !parent.isEmpty { try FileDescriptor.makeDirectory(at: parent, mode: 0o755) }
            }
            try FileDescriptor.makeDirectory(at: path)
        }
        guard let made = try state(path) else { throw .refused("\(path) is not there") }
        return made
    }

    /// A directory that nobody else can look into; nil where there is none.
    static func directory(
        _ name: String,
        in parent: FileDescriptor,
        labelled label: String? = nil
    ) throws(SessionError) -> FileDescriptor? {
        let opened = try open("\(parent.path)/\(name)") { () throws(SystemError) in
            try parent.open(
                CommandLineBytes.decode(name),
                O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
                resolve: within,
                describedAs: label ?? name
            )
        }
        guard let opened else { return nil }
        try refuse(opened, unless: .directory, closedTo: openToOthers)
        return opened
    }

    /// The directory of exports, which others may enter; nil where there is none.
    static func exports(
        _ name: String,
        in state: FileDescriptor
    ) throws(SessionError) -> FileDescriptor? {
        let opened = try open("\(state.path)/\(name)") { () throws(SystemError) in
            try state.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, resolve: within)
        }
        guard let opened else { return nil }
        try refuse(opened, unless: .directory, closedTo: writableByOthers)
        return opened
    }

    /// The same; it is made where there is none.
    static func madeExports(
        _ name: String,
        in state: FileDescriptor
    ) throws(SessionError) -> FileDescriptor {
        if try exports(name, in: state) == nil {
            do throws(SystemError) { try state.makeDirectory(Array(name.utf8)) } catch {
                guard error.errno == EEXIST else { throw .system(error) }
            }
        }
        guard let made = try exports(name, in: state) else {
            throw .refused("\(state.path)/\(name) is not there")
        }
        try inSession { () throws(SystemError) in try made.setPermissions(0o711) }
        return made
    }

    /// The journal in a session's directory, checked; nil where there is none.
    static func journal(
        in directory: FileDescriptor,
        forWriting: Bool = false
    ) throws(SessionError) -> FileDescriptor? {
        let opened = try open("\(directory.path)/\(journal)") { () throws(SystemError) in
            // A FIFO would block.
            let flags = (forWriting ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
            return try directory.open(journal, flags, resolve: within)
        }
        guard let opened else { return nil }
        try refuse(opened, unless: .regular, closedTo: openToOthers)
        let status = try inSession { () throws(SystemError) in try opened.status() }
        guard status.linkCount == 1 else {
            throw .refused("\(opened.path) has \(status.linkCount) names")
        }
        guard status.size <= UInt64(SessionJournal.bytesMax) else {
            throw .refused("\(opened.path) has more than \(SessionJournal.bytesMax) bytes")
        }
        return opened
    }

    /// Opens something; nil where it is not there.
    private static func open(
        _ path: String,
        _ body: () throws(SystemError) -> FileDescriptor
    ) throws(SessionError) -> FileDescriptor? {
        do throws(SystemError) { return try body() } catch {
            switch error.errno {
            case ENOENT: return nil
            case ELOOP, ENOTDIR, EISDIR:
                throw .refused("\(path) is a symbolic link, or is not what it has to be")
            default: throw .system(error)
            }
        }
    }

    private static func refuse(
        _ file: FileDescriptor,
        unless kind: FileStatus.Kind,
        closedTo others: UInt16
    ) throws(SessionError) {
        let status = try inSession { () throws(SystemError) in try file.status() }
        guard status.kind == kind else {
            throw .refused("\(file.path) is a \(status.kind.rawValue), no \(kind.rawValue)")
        }
        guard status.userID == OwnProcess.effectiveUserID else {
            throw .refused(
                "\(file.path) belongs to user \(status.userID), not to user "
                    + "\(OwnProcess.effectiveUserID) who runs this"
            )
        }
        guard status.permissions & others == 0 else {
            let mode = String(status.permissions, radix: 8)
            throw .refused("\(file.path) is open to others than its owner (mode 0\(mode))")
        }
    }
}
