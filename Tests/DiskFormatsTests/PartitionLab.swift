import DiskFormats
import Foundation

/// Makes images with foreign tools, and asks those tools what is in them.
enum PartitionLab {
    private static let searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// Whether all of these programs are installed.
    static func has(_ tools: String...) -> Bool {
        tools.allSatisfy { tool in
            searchPath.split(separator: ":").contains {
                FileManager.default.isExecutableFile(atPath: "\($0)/\(tool)")
            }
        }
    }

    struct ScriptFailure: Error {
        var script: String
        var status: Int32
        var output: String
    }

    /// Runs a shell script in `directory`, and returns what it prints.
    @discardableResult
    static func sh(_ script: String, in directory: URL) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-euc", script]
        process.currentDirectoryURL = directory
        process.environment = ["PATH": searchPath, "LC_ALL": "C.UTF-8", "TZ": "UTC"]
        // Files rather than pipes: reading a pipe traps where a signal interrupts it.
        let output = directory.appending(path: "stdout-\(UUID().uuidString)")
        let errors = directory.appending(path: "stderr-\(UUID().uuidString)")
        try Data().write(to: output)
        try Data().write(to: errors)
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        process.standardInput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            let message = try String(contentsOf: errors, encoding: .utf8)
            throw ScriptFailure(
                script: script,
                status: process.terminationStatus,
                output: message
            )
        }
        return String(decoding: try Data(contentsOf: output), as: UTF8.self)
    }

    /// Calls `body` with a directory that is removed afterwards.
    static func withDirectory<Result>(_ body: (URL) throws -> Result) throws -> Result {
        let directory = FileManager.default.temporaryDirectory
            .appending(path: "partition-lab-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        return try body(directory)
    }

    /// Runs `script`, which makes the file `image`, and calls `body` with it.
    static func withImage<Result>(
        _ script: String,
        _ body: (_ image: FileImage, _ directory: URL) throws -> Result
    ) throws -> Result {
        try withDirectory { directory in
            try sh(script, in: directory)
            return try body(FileImage(directory.appending(path: "image")), directory)
        }
    }

    /// What `blkid -p` says of `image`; empty where it finds nothing.
    ///
    /// Exported values have spaces escaped, and bytes beyond ASCII written as `M-x`, which other
    /// bytes can be, too: so the label is asked for on its own.
    static func blkid(in directory: URL) throws -> [String: [UInt8]] {
        let text = try sh("blkid -p -o export image || test $? = 2", in: directory)
        var values: [String: [UInt8]] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            values[String(parts[0])] = parts[1].utf8.filter { $0 != UInt8(ascii: "\\") }
        }
        guard values["LABEL"] != nil else { return values }
        let label = try sh("blkid -p -s LABEL -o value image", in: directory)
        values["LABEL"] = Array(label.utf8.dropLast())
        return values
    }
}

/// An image file, read as a disk.
struct FileImage: BlockSource {
    private let data: Data
    var byteCount: UInt64 { UInt64(data.count) }

    init(_ url: URL) throws { data = try Data(contentsOf: url, options: .alwaysMapped) }

    func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        try checkRange(offset, buffer.byteCount)
        guard buffer.byteCount > 0 else { return }
        let start = Int(offset)
        let part = [UInt8](data[start..<start + buffer.byteCount])
        let span = part.span
        unsafe buffer.copy(span.bytes, to: 0)
    }

    func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        try checkRange(offset, 1)
        return BlockRun(
            length: min(limit, byteCount - offset),
            origin: .file(layer: 0, offset: offset)
        )
    }
}

/// A disk of which some bytes are others.
struct PatchedImage: BlockSource {
    let base: any BlockSource
    let patch: [UInt8]
    let place: Int
    var byteCount: UInt64 { base.byteCount }

    func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        try base.read(into: &buffer, at: offset)
        let first = max(place, Int(offset))
        let last = min(place + patch.count, Int(offset) + buffer.byteCount)
        guard first < last else { return }
        let part = Array(patch[first - place..<last - place])
        let span = part.span
        unsafe buffer.copy(span.bytes, to: first - Int(offset))
    }

    func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        try base.run(at: offset, limit: limit)
    }
}

extension BlockSource {
    /// The same disk with `bytes` at `offset`.
    func patched(_ bytes: [UInt8], at offset: Int) -> PatchedImage {
        PatchedImage(base: self, patch: bytes, place: offset)
    }

    /// The first `count` bytes of the disk.
    func truncated(to count: UInt64) throws -> SliceSource {
        try SliceSource(self, start: 0, byteCount: count)
    }
}
