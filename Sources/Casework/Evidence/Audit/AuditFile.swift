internal import Linux

/// The audit log's file, opened, found to be what it has to be, and locked against other writers.
struct AuditFile {
    /// Where it lies.
    let directory: FileDescriptor
    /// The file; closing it lets go of the lock.
    let descriptor: FileDescriptor
    /// How long it is; nobody else writes to it.
    let size: UInt64

    private static let attempts = 100
    private static let writableByOthers: UInt16 = 0o022

    /// Opens the log in `directory`; both are made where they are missing.
    init(in path: String) throws(GloveboxError) {
        directory = try auditing { () throws(SystemError) in try Self.openDirectory(path) }
        try Self.refuse(directory, unless: .directory)
        // Whoever waits for the lock meanwhile may then hold a log that was rotated away.
        for _ in 0..<Self.attempts {
            let file = try auditing { [directory] () throws(SystemError) in
                try directory.openOrCreateFile(AuditLog.fileName)
            }
            try Self.refuse(file, unless: .regular)
            let size = try auditing { [directory] () throws(SystemError) -> UInt64? in
                try file.lock(.exclusive)
                let status = try file.status()
                let named = try directory.status(of: AuditLog.fileName)
                return named?.identity == status.identity ? status.size : nil
            }
            guard let size else { continue }
            self.descriptor = file
            self.size = size
            return
        }
        throw .auditLogUnusable("\(path)/\(AuditLog.fileName) is replaced again and again")
    }

    private static func openDirectory(_ path: String) throws(SystemError) -> FileDescriptor {
        do throws(SystemError) { return try .openDirectory(path) } catch {
            guard error.name == "ENOENT" else { throw error }
        }
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        for count in 1..<max(1, parts.count) {
            let parent = parts[..<count].joined(separator: "/")
            if !parent.isEmpty { try FileDescriptor.makeDirectory(at: parent, mode: 0o755) }
        }
        try FileDescriptor.makeDirectory(at: path)
        return try .openDirectory(path)
    }

    /// Throws unless `file` is of that kind and nobody but its owner, who is this user, may write it.
    private static func refuse(
        _ file: FileDescriptor,
        unless kind: FileStatus.Kind
    ) throws(GloveboxError) {
        let status = try auditing { () throws(SystemError) in try file.status() }
        guard status.kind == kind else {
            throw .auditLogUnusable("\(file.path) is a \(status.kind.rawValue)")
        }
        guard status.userID == OwnProcess.effectiveUserID else {
            throw .auditLogUnusable(
                "\(file.path) belongs to user \(status.userID), not to user "
                    + "\(OwnProcess.effectiveUserID) who runs this"
            )
        }
        guard status.permissions & writableByOthers == 0 else {
            throw .auditLogUnusable("\(file.path) can be written by others than its owner")
        }
    }
}

extension GloveboxError {
    /// What was to be recorded cannot be.
    static func auditLogUnusable(_ reason: String) -> GloveboxError {
        GloveboxError(.refused, "The audit log cannot be written: \(reason).")
    }
}

/// Runs `body`, which works on the audit log, and says of its errors that nothing can be recorded.
func auditing<Value>(
    _ body: () throws(SystemError) -> Value
) throws(GloveboxError) -> Value {
    do throws(SystemError) { return try body() } catch { throw .auditLogUnusable("\(error)") }
}
