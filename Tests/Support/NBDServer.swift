internal import Foundation

/// An NBD server of somebody else's at a socket of its own, ended with the value.
package final class NBDServer: Sendable {
    /// Whether qemu-nbd is there.
    package static let hasQEMU = FileManager.default.isExecutableFile(atPath: "/usr/bin/qemu-nbd")
    /// Whether nbdkit is there.
    package static let hasNBDKit = FileManager.default.isExecutableFile(atPath: "/usr/bin/nbdkit")

    /// Where it listens.
    package let socket: String
    private let directory: String
    private let process: Process

    /// Starts `program`; in its arguments SOCKET and IMAGE stand for those paths.
    package init(_ program: String, _ arguments: [String], content: [UInt8]) throws {
        directory = FileManager.default.temporaryDirectory.path + "/glovebox-nbd-\(UUID())"
        try FileManager.default.createDirectory(
            atPath: directory,
            withIntermediateDirectories: true
        )
        socket = "\(directory)/socket"
        let image = "\(directory)/image"
        try Data(content).write(to: URL(fileURLWithPath: image))
        process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments.map {
            $0.replacingOccurrences(of: "SOCKET", with: socket)
                .replacingOccurrences(of: "IMAGE", with: image)
        }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        for _ in 0..<1_000 where !FileManager.default.fileExists(atPath: socket) {
            usleep(10_000)
        }
        // Between bind and listen a client would be turned away.
        usleep(50_000)
    }

    deinit {
        // Not SIGTERM: nbdkit then waits for its clients, which may be ourselves.
        kill()
        process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// qemu-nbd with the options that we use, and the export `name`.
    package static func qemu(_ content: [UInt8], export name: String = "") throws -> NBDServer {
        let description = """
            json:{"driver":"raw","file":{"driver":"file","filename":"IMAGE"}}
            """
        return try NBDServer(
            "/usr/bin/qemu-nbd",
            ["-r", "-t", "-e", "0", "-A", "-x", name, "-k", "SOCKET", description],
            content: content
        )
    }

    /// The server that breaks one promise.
    package static func hostile(_ mode: String, _ content: [UInt8]) throws -> NBDServer {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("hostile_server.py").path
        return try NBDServer(
            "/usr/bin/python3",
            [script, "SOCKET", "IMAGE", mode],
            content: content
        )
    }

    /// Ends it as no program can prevent.
    package func kill() { Glibc.kill(process.processIdentifier, SIGKILL) }

    /// Whether it ends by itself within a time.
    package func hasEnded(inSeconds seconds: Double) -> Bool {
        let end = Date(timeIntervalSinceNow: seconds)
        while process.isRunning, Date() < end { usleep(10_000) }
        return !process.isRunning
    }
}
