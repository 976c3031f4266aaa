import Foundation
import Testing

@testable import DiskFormats

/// Images that qemu-img makes, as bytes.
enum QCOW2Tool {
    static let isThere = ["qemu-img", "qemu-io"].allSatisfy {
        FileManager.default.isExecutableFile(atPath: "/usr/bin/\($0)")
    }

    /// A small image, and what the guest sees according to qemu-img.
    struct Sample: Sendable {
        let bytes: [UInt8]
        let content: [UInt8]
    }

    /// Creates an image of `size` bytes with `options` and runs qemu-io commands on it.
    static func sample(_ options: String, size: Int, _ commands: [String]) throws -> Sample {
        try inDirectory { directory in
            let image = "\(directory)/image"
            try run("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, image, "\(size)"])
            let arguments = commands.flatMap { ["-c", $0] }
            try run("qemu-io", ["-t", "unsafe", "-f", "qcow2"] + arguments + [image])
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: image)))
            return Sample(bytes: bytes, content: try content(of: bytes))
        }
    }

    /// An image without any data; `DIR` in its options stands for a directory of its own.
    static func image(_ options: String, _ more: [String] = [], size: Int) throws -> [UInt8] {
        try inDirectory { directory in
            let options = options.replacingOccurrences(of: "DIR", with: directory)
            let image = "\(directory)/image"
            let create =
                ["create", "-q", "-f", "qcow2"] + more + ["-o", options, image, "\(size)"]
            try persistently { try run("qemu-img", create) }
            return [UInt8](try Data(contentsOf: URL(fileURLWithPath: image)))
        }
    }

    /// For an encrypted image qemu-img times itself, and gives up where the machine is busy.
    private static func persistently(_ body: () throws -> Void) throws {
        for _ in 0..<20 {
            if (try? body()) != nil { return }
        }
        try body()
    }

    /// What qemu-img reads of an image, zeros where it cannot; throws where it does not open it.
    static func content(of image: [UInt8]) throws -> [UInt8] {
        try inDirectory { directory in
            let (path, raw) = ("\(directory)/image", "\(directory)/raw")
            try Data(image).write(to: URL(fileURLWithPath: path))
            try run("qemu-img", ["convert", "--salvage", "-f", "qcow2", "-O", "raw", path, raw])
            return [UInt8](try Data(contentsOf: URL(fileURLWithPath: raw)))
        }
    }

    private static func inDirectory<Value>(_ body: (String) throws -> Value) throws -> Value {
        let directory = FileManager.default.temporaryDirectory.path + "/glovebox-qcow2-\(UUID())"
        try FileManager.default.createDirectory(
            atPath: directory,
            withIntermediateDirectories: true
        )
        defer { try? FileManager.default.removeItem(atPath: directory) }
        return try body(directory)
    }

    private static func run(_ program: String, _ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/\(program)")
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw CocoaError(.executableLoad) }
    }

    /// What became of reading an image from end to end.
    enum Outcome: Equatable {
        case refused(DiskError)
        case read([UInt8])
        /// Opened, and some of it could not be read: piece for piece, nil where that is so.
        case partly([ArraySlice<UInt8>?])
    }

    /// Opens `image` and reads all of it, in pieces of `piece` bytes where some fails.
    static func outcome(_ image: [UInt8], piece: Int = 512, sizeMax: UInt64 = 1 << 22) -> Outcome {
        do throws(DiskError) {
            let file = MemorySource(image)
            let header = try QCOW2Header(reading: file)
            let disk = try QCOW2Image(
                header,
                file: file,
                backing: header.backingFile == nil ? nil : MemorySource([]),
                decompressor: nil
            )
            _ = try? disk.run(at: 0, limit: .max)
            _ = try? disk.run(at: disk.byteCount &- 1, limit: .max)
            let count = Int(min(disk.byteCount, sizeMax))
            if let whole = try? disk.bytes(at: 0, count: count) { return .read(whole) }
            var pieces: [ArraySlice<UInt8>?] = []
            for start in stride(from: 0, to: count, by: piece) {
                let length = min(piece, count - start)
                pieces.append((try? disk.bytes(at: UInt64(start), count: length))?[...])
            }
            return .partly(pieces)
        } catch {
            return .refused(error)
        }
    }
}
