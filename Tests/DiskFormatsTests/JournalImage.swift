import Foundation
import TestSupport
import Testing

@testable import DiskFormats

/// An ext4 image that foreign tools made, its journal, and what e2fsck's replay makes of it.
final class JournalImage {
    let directory: URL
    let blockSize: Int
    /// The blocks of the journal inode, in the order of the file, as debugfs lists them.
    let journalBlocks: [Int]
    var bytes: [UInt8]

    private var path: String { directory.appending(path: "image").path }

    init(blockSize: Int = 1024, options: String = "^metadata_csum,^64bit", journalMiB: Int? = nil)
        throws
    {
        self.blockSize = blockSize
        directory = FileManager.default.temporaryDirectory
            .appending(path: "journal-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let image = directory.appending(path: "image").path
        try run(
            "mke2fs",
            ["-q", "-F", "-t", "ext4", "-b", "\(blockSize)", "-O", "\(options),^resize_inode"]
                + ["-J", "size=\(journalMiB ?? blockSize / 1024)", image, "\(blockSize * 8)k"]
        )
        journalBlocks = try run("debugfs", ["-R", "blocks <8>", image])
            .split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        bytes = try [UInt8](Data(contentsOf: URL(filePath: image)))
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    /// A few blocks that belong to nobody.
    var freeBlocks: [Int] {
        get throws {
            let listing = try run("debugfs", ["-R", "ffb 40", path])
            return listing.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        }
    }

    /// Has debugfs carry out `commands`, which may name `data(_:)` files.
    func debugfs(_ commands: [String]) throws {
        try save()
        let script = directory.appending(path: "script")
        try Data(commands.joined(separator: "\n").utf8).write(to: script)
        try run("debugfs", ["-w", "-f", script.path, path])
        bytes = try [UInt8](Data(contentsOf: URL(filePath: path)))
    }

    /// The path of a file that holds `content`, for debugfs to read.
    func data(_ content: [UInt8]) throws -> String {
        let file = directory.appending(path: "data-\(UUID().uuidString)")
        try Data(content).write(to: file)
        return file.path
    }

    func save() throws { try Data(bytes).write(to: URL(filePath: path)) }

    var volume: MemorySource { MemorySource(bytes) }

    var journal: MemorySource {
        MemorySource(
            journalBlocks.flatMap { bytes[($0 * blockSize)..<(($0 + 1) * blockSize)] }
        )
    }

    func replay() throws(DiskError) -> JournalReplay {
        try JournalReplay.scan(journal: journal, volume: volume, fileSystemBlockSize: blockSize)
    }

    /// The image after `e2fsck -E journal_only` on a copy of it.
    func replayedByE2fsck() throws -> [UInt8] {
        try save()
        let copy = directory.appending(path: "copy").path
        try run("cp", [path, copy])
        try run("e2fsck", ["-E", "journal_only", "-y", copy], allowed: 0...3)
        return try [UInt8](Data(contentsOf: URL(filePath: copy)))
    }

    /// Which blocks differ, apart from the superblock and the journal, which e2fsck updates.
    func differingBlocks(_ ours: [UInt8], _ theirs: [UInt8]) -> [Int] {
        let own = Set(journalBlocks + [1024 / blockSize])
        let (ours, theirs) = (Data(ours), Data(theirs))
        return (0..<(bytes.count / blockSize)).filter { block in
            let range = (block * blockSize)..<((block + 1) * blockSize)
            return !own.contains(block) && ours[range] != theirs[range]
        }
    }
}

/// Runs a program and gives what it printed on standard output.
@discardableResult
func run(
    _ program: String,
    _ arguments: [String],
    allowed: ClosedRange<Int32> = 0...0
) throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [program] + arguments
    process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"]
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let text = output.fileHandleForReading.readEverything()
    process.waitUntilExit()
    try #require(allowed.contains(process.terminationStatus), "\(program) \(arguments)")
    return String(decoding: text, as: UTF8.self)
}
