import Foundation
import TestSupport
import Testing

@testable import DiskFormats

/// A directory that is removed with the value that owns it.
final class Ext4Scratch {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "ext4-test-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func callAsFunction(_ name: String) -> String { path + "/" + name }
}

/// Runs foreign programs.
enum Ext4Tool {
    struct Failure: Error { let command: String, output: String }

    /// Whether this machine lets us mount what is in a file.
    static let mayMount = (try? attempt(["sh", "-c", "test $(id -u) = 0 && losetup -f"]).0) == 0

    /// Standard output of a program that must end well.
    @discardableResult
    static func run(_ command: [String]) throws -> String {
        let (status, output) = try attempt(command)
        guard status == 0 else {
            throw Failure(command: command.joined(separator: " "), output: output)
        }
        return output
    }

    /// Exit status and all output.
    static func attempt(_ command: [String]) throws -> (Int32, String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        var environment = ProcessInfo.processInfo.environment
        environment["PATH"] = "/usr/sbin:/sbin:/usr/bin:/bin"
        environment["LC_ALL"] = "C"
        process.environment = environment
        process.arguments = command
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readEverything()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }

    /// Makes an image of `size` with mke2fs, filled from `tree`.
    static func mke2fs(
        _ options: String,
        size: String,
        tree: String? = nil,
        at path: String
    ) throws {
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        var command = ["mke2fs", "-q", "-F", "-E", "nodiscard"]
        command += options.split(separator: " ").map(String.init)
        if let tree { command += ["-d", tree] }
        try run(command + [path, size])
    }

    /// Runs debugfs commands that write, each of which must not complain.
    static func debugfs(_ image: String, write commands: [String]) throws {
        let script = NSTemporaryDirectory() + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: script) }
        try (commands.joined(separator: "\n") + "\n").write(
            toFile: script,
            atomically: false,
            encoding: .utf8
        )
        try run(["debugfs", "-w", "-f", script, image])
    }

    /// What one debugfs command prints.
    static func debugfs(_ image: String, _ command: String) throws -> String {
        let output = try run(["debugfs", "-R", command, image])
        let lines = output.split(separator: "\n", omittingEmptySubsequences: false)
        return lines.filter { !$0.hasPrefix("debugfs 1.") }.joined(separator: "\n")
    }
}

/// An image file, read as a whole.
func imageBytes(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

/// A file system on an image file.
func openImage(_ path: String) throws -> Ext4FileSystem {
    try Ext4FileSystem(volume: MemorySource(try imageBytes(path)))
}

/// What a walk over a whole tree found.
struct Ext4Listing {
    struct File {
        let inode: Inode
        var content: [UInt8] = []
        var target: [UInt8] = []
        var attributes: [String: [UInt8]] = [:]
    }

    var files: [String: File] = [:]
    var problems: [DiskError] = []

    /// Walks everything, reads at most `bytesMax` of each file, and enters no directory twice.
    init(_ fileSystem: Ext4FileSystem, bytesMax: UInt64 = 64 << 20) {
        var seen: Set<UInt64> = []
        var known: [UInt64: File] = [:]
        var waiting: [(path: String, inode: UInt64)] = [("", fileSystem.rootInode)]
        while let (path, number) = waiting.popLast(), seen.insert(number).inserted {
            let listing: DirectoryListing
            do {
                listing = try fileSystem.entries(of: number)
            } catch {
                problems.append(error)
                continue
            }
            problems += listing.problems
            for entry in listing.entries {
                let child = path + "/" + String(decoding: entry.name, as: UTF8.self)
                do {
                    let file: File
                    if let read = known[entry.inode] {
                        file = read
                    } else {
                        file = try Self.file(entry.inode, fileSystem, bytesMax)
                        known[entry.inode] = file
                    }
                    files[child] = file
                    if file.inode.type == .directory { waiting.append((child, entry.inode)) }
                } catch {
                    problems.append(error)
                }
            }
        }
    }

    private static func file(
        _ number: UInt64,
        _ fileSystem: Ext4FileSystem,
        _ bytesMax: UInt64
    ) throws(DiskError) -> File {
        var file = File(inode: try fileSystem.inode(number))
        for attribute in try fileSystem.extendedAttributes(of: number) {
            file.attributes[String(decoding: attribute.name, as: UTF8.self)] = attribute.value
        }
        switch file.inode.type {
        case .regular:
            let end = min(file.inode.size, bytesMax)
            let extents = try fileSystem.extents(of: number, in: 0..<end)
            let source = ExtentsSource(
                volume: fileSystem.volume,
                extents: extents,
                byteCount: end
            )
            file.content = try source.bytes(at: 0, count: Int(end))
        case .symbolicLink: file.target = try fileSystem.linkTarget(of: number)
        default: break
        }
        return file
    }
}
