internal import Custody
internal import Digests
internal import JSON
internal import Linux

extension AuditLog {
    /// Begins a new file that continues the log, and gives the name that the old one has now.
    ///
    /// The new file's first line has the number and the digest that the old one's next would have had:
    /// both together remain one chain. Whenever it is interrupted, a complete log is left under the
    /// usual name.
    package func rotate() throws(GloveboxError) -> String {
        let file = try AuditFile(in: directory)
        let tail = try AuditTail(of: file.descriptor, size: file.size)
        guard tail.chain.sequence > 0, tail.torn.isEmpty else {
            throw GloveboxError(
                .wrongState,
                tail.torn.isEmpty
                    ? "The audit log is empty."
                    : "The audit log ends with a line that is not whole.",
                advice: tail.torn.isEmpty
                    ? "" : "The next command that reads guest data puts it right."
            )
        }
        var chain = tail.chain
        let name = AuditSegments.name(from: try first(of: file), to: chain.sequence)
        let line = chain.line { json in
            json.member(plain: "event", "continued")
            json.member("time", .now)
            AuditCaller().write(to: &json)
            json.member("file", name)
        }
        do throws(SystemError) {
            try replace(file, name, by: line)
        } catch {
            throw .auditLogUnusable("\(error)")
        }
        SystemLog.note("audit seq=\(chain.sequence) sha256=\(chain.head)")
        return name
    }

    private func first(of file: AuditFile) throws(GloveboxError) -> UInt64 {
        var lines = LineReader(file.descriptor, size: file.size)
        do {
            guard case .line(let line)? = try lines.next() else {
                throw JSONError("its first line is not whole")
            }
            return try HashChain(beginningWith: line).sequence
        } catch {
            throw .auditLogUnusable("\(directory)/\(Self.fileName): \(error)")
        }
    }

    private func replace(
        _ file: AuditFile,
        _ name: String,
        by line: [UInt8]
    ) throws(SystemError) {
        let directory = file.directory
        let pending = "\(Self.fileName).new"
        // Who holds the lock alone makes this file, so one that is there was left by a crash.
        try directory.removeFile(named: pending)
        let new = try directory.createFile(pending)
        try new.write(line)
        try new.synchronize()
        try file.descriptor.synchronize()
        // A rotation that was interrupted here has given it that name already.
        if try directory.status(of: name)?.identity != file.descriptor.status().identity {
            try directory.link(Self.fileName, as: name)
        }
        try directory.rename(pending, over: Self.fileName)
        try directory.synchronize()
    }
}
