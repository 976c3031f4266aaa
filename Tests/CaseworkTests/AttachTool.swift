import Foundation
import TestSupport
import Testing

@testable import Casework
@testable import DiskFormats

/// Foreign programs and a directory of their own for one test.
final class AttachBench: Sendable {
    static let hasQEMU = ["qemu-img", "qemu-io", "qemu-nbd"].allSatisfy {
        FileManager.default.isExecutableFile(atPath: "/usr/bin/\($0)")
    }

    /// An instance's directory in a directory of instances, beside `_base`.
    let directory: String
    private let root: String

    init() throws {
        root = FileManager.default.temporaryDirectory.path + "/glovebox-attach-\(UUID())"
        directory = root + "/instances/0a6f1c1e"
        for path in [directory, root + "/instances/_base", root + "/outside"] {
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true
            )
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    func path(_ name: String) -> String { "\(directory)/\(name)" }
    func base(_ name: String) -> String { "\(root)/instances/_base/\(name)" }
    func outside(_ name: String) -> String { "\(root)/outside/\(name)" }

    func write(_ bytes: [UInt8], _ path: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    func read(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// Runs a program to its end; returns its output where it succeeds.
    @discardableResult
    func run(_ program: String, _ arguments: [String]) throws -> Data {
        let (status, output) = try attempt(program, arguments)
        try #require(
            status == 0,
            "\(program) \(arguments): \(String(decoding: output, as: UTF8.self))"
        )
        return output
    }

    /// Runs a program to its end, whatever that is.
    func attempt(_ program: String, _ arguments: [String]) throws -> (Int32, Data) {
        let process = try start(program, arguments)
        let pipe = try #require(process.standardOutput as? Pipe)
        let output = pipe.fileHandleForReading.readEverything()
        process.waitUntilExit()
        return (process.terminationStatus, output)
    }

    /// Starts a program; its output and errors go to one pipe.
    func start(_ program: String, _ arguments: [String]) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/\(program)")
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        return process
    }

    func create(_ name: String, _ options: [String], size: Int? = nil) throws {
        try run("qemu-img", ["create", "-q"] + options + [name] + (size.map { ["\($0)"] } ?? []))
    }

    /// Runs commands of qemu-io; one that QEMU refuses leaves the image as it is.
    func io(_ name: String, _ commands: [String], format: String = "qcow2") throws {
        _ = try attempt(
            "qemu-io",
            ["-t", "unsafe", "-f", format] + commands.flatMap { ["-c", $0] } + [name]
        )
    }

    /// What qemu-img says the guest sees.
    func expected(_ name: String, format: String = "qcow2") throws -> [UInt8] {
        let out = path("expected-\(UInt64.random(in: 0...UInt64.max))")
        defer { try? FileManager.default.removeItem(atPath: out) }
        try run("qemu-img", ["convert", "-f", format, "-O", "raw", name, out])
        return try read(out)
    }
}
