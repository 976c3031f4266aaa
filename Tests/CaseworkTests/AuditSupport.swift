import Foundation
import Testing

@testable import Casework
@testable import Digests
@testable import Linux

/// A state directory that is gone with the value, and the log in it.
final class AuditPlace {
    let url = FileManager.default.temporaryDirectory.appending(
        path: "glovebox-\(UUID().uuidString)"
    )
    var directory: String { url.appending(path: "state").path }
    var log: AuditLog { AuditLog(directory: directory) }
    var path: String { directory + "/" + AuditLog.fileName }

    deinit { try? FileManager.default.removeItem(at: url) }

    init() throws {
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    var bytes: [UInt8] {
        get throws { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }
    }

    /// The lines, each with its newline.
    var lines: [[UInt8]] {
        get throws { try bytes.split(separator: 0x0A).map { $0 + [0x0A] } }
    }

    func replace(_ bytes: some Collection<UInt8>) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    }

    @discardableResult
    func append(_ argument: String = "/etc/fstab") throws -> AuditRecord {
        try log.append(
            .read(.init(arguments: [Array("cat".utf8), Array(argument.utf8)], target: "/disk")),
            durably: false
        )
    }

    func verify(_ anchors: AuditRecord...) throws -> AuditVerification {
        let anchors = try anchors.map { try AuditAnchor("\($0.sequence):\($0.digest)") }
        return try AuditVerification(of: directory, anchors: anchors)
    }
}
