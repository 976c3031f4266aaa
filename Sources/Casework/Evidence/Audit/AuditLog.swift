internal import Custody
package import Digests
internal import DiskFormats
internal import JSON
internal import Linux

/// A line of the audit log: whoever keeps this elsewhere can tell later whether the log, up to
/// there, is still the same.
package struct AuditRecord: Equatable, Sendable {
    /// The number of the line.
    package let sequence: UInt64
    /// The SHA-256 of the line with its newline.
    package let digest: Digest

    /// Names a line.
    package init(sequence: UInt64, digest: Digest) {
        self.sequence = sequence
        self.digest = digest
    }
}

/// The record of who read what: `audit.jsonl` in the state directory, a ``HashChain``.
///
/// Any number of processes append to it at once. A line is one write under a lock; what a killed
/// process leaves of one is put right, and told, by the next. docs/audit.md describes the lines.
package struct AuditLog: Sendable {
    /// What the file is called.
    package static let fileName = "audit.jsonl"

    /// The directory of the log.
    package let directory: String
    /// Whether somebody chose another place than the program's own for it; syslog is told then.
    private let isElsewhere: Bool

    /// The log in `directory`, which need not be there yet.
    package init(directory: String, isElsewhere: Bool = false) {
        self.directory = directory
        self.isElsewhere = isElsewhere
    }

    /// Appends a line, and says the log's new head to syslog.
    ///
    /// Where `durably`, the line is on stable storage afterwards. Throws `refused` where nothing could
    /// be written, or where the log is not one that this user alone can write; the log then is as it
    /// was.
    @discardableResult
    package func append(
        _ event: AuditEvent,
        durably: Bool
    ) throws(GloveboxError) -> AuditRecord {
        let file = try AuditFile(in: directory)
        var tail = try AuditTail(of: file.descriptor, size: file.size)
        var bytes = tail.torn.isEmpty ? [] : tail.recovery()
        bytes += tail.chain.line { event.write(to: &$0) }
        do throws(SystemError) {
            try Self.write(bytes, to: file, after: tail)
            try file.descriptor.unlock()
            if durably {
                try file.descriptor.synchronize()
                if file.size == 0 { try file.directory.synchronize() }
            }
        } catch {
            throw .auditLogUnusable("\(error)")
        }
        let record = AuditRecord(sequence: tail.chain.sequence, digest: tail.chain.head)
        announce(record)
        return record
    }

    /// Writes whole lines where the last one ended, in one call, over what was torn there.
    private static func write(
        _ bytes: [UInt8],
        to file: AuditFile,
        after tail: AuditTail
    ) throws(SystemError) {
        do throws(SystemError) {
            try file.descriptor.write(bytes, at: tail.end)
            let end = tail.end + UInt64(bytes.count)
            if end < file.size { try file.descriptor.truncate(to: end) }
        } catch {
            // A disk that became full took part of a line: nothing that anybody was told of.
            try? file.descriptor.write(tail.torn, at: tail.end)
            try? file.descriptor.truncate(to: file.size)
            throw error
        }
    }

    private func announce(_ record: AuditRecord) {
        let place =
            isElsewhere ? " directory=\(GuestName.escaped(CommandLineBytes.decode(directory)))" : ""
        SystemLog.note("audit seq=\(record.sequence) sha256=\(record.digest)\(place)")
    }
}
