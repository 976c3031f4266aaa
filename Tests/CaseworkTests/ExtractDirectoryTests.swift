import Casework
import DiskFormats
import Foundation
import Linux
import TestSupport
import Testing

/// Extraction into a directory, against trees that mean harm as well.
@Suite struct ExtractDirectoryTests {
    private func content(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    @Test func `what was there is there, with content, times, permissions, links and holes`() throws
    {
        let source = FakeFileSystem()
        let etc = source.add("etc", permissions: 0o555) {
            $0.modified = Timestamp(seconds: 1_600_000_000, nanoseconds: 7)
        }
        source.addFile("fstab", in: etc, text: "/dev/vda1\n")
        source.addFile("empty", in: etc, text: "")
        source.addFile([0xFF, 0x0A], in: etc, [.bytes([1, 2, 3])])
        let first = source.addFile([UInt8]("a".utf8), [.bytes(noise(100))]) { $0.linkCount = 2 }
        source.link([UInt8]("b".utf8), in: etc, to: first)
        source.addFile([UInt8]("big".utf8), [.bytes(noise(2_500_000))])
        source.addFile(
            [UInt8]("huge".utf8),
            [.bytes(noise(4_096)), .hole(10 << 30), .bytes(noise(4_096)), .unwritten(1 << 20)]
        )
        source.addFile([UInt8]("inline".utf8), [.inline([9])])
        source.addLink("link", in: etc, to: "../../outside")
        let scratch = try Scratch()
        let report = source.extract(to: scratch.path + "/out")
        #expect(report.isComplete)
        #expect(report.files == 8 && report.directories == 1 && report.other == 1)
        let (found, expected) = (try tree(scratch.path + "/out"), try Expected(source).lines())
        #expect(found.count == expected.count)
        for (left, right) in zip(found, expected) { #expect(left == right) }
    }

    @Test func `nothing is written through a symbolic link, wherever it comes from`() throws {
        let scratch = try Scratch()
        let (outside, target) = (scratch.path + "/outside", scratch.path + "/out")
        for path in [outside, target] {
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: false
            )
        }
        let source = FakeFileSystem()
        source.addLink("a", to: outside)
        let second = source.add("a")
        source.addFile("through", in: second, text: "bad")
        let there = source.add("there")
        source.addFile("through", in: there, text: "bad")
        source.addFile("file", text: "bad")
        try run("ln", "-s", outside, target + "/there")
        try run("ln", "-s", outside + "/new", target + "/file")
        let report = source.extract(to: target)
        #expect(try FileManager.default.contentsOfDirectory(atPath: outside).isEmpty)
        #expect(report.skippedPaths["/file"] == .exists)
        #expect(report.skippedPaths["/there"] == .exists)
        #expect(!report.isComplete)
        #expect(try content(target + "/a/through") == [UInt8]("bad".utf8))
    }

    @Test func `names that lead elsewhere are refused`() throws {
        let source = FakeFileSystem()
        for name in ["..", ".", "a/b", "../../x", "n\0l", ""] {
            source.addFile([UInt8](name.utf8), [.bytes([1])])
            source.link([UInt8](name.utf8), in: 2, to: source.addInode(.directory))
        }
        source.addFile("kept", text: "1")
        let scratch = try Scratch()
        let report = source.extract(to: scratch.path + "/out")
        #expect(report.files == 1 && report.directories == 0)
        #expect(report.skipped.count == 12)
        #expect(report.skipped.allSatisfy { $0.reason == .invalidName })
        #expect(try tree(scratch.path + "/out").count == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["out"])
    }

    @Test func `what is there already stays, and a second name does not link to it`() throws {
        let source = FakeFileSystem()
        let file = source.addFile([UInt8]("a".utf8), [.bytes([1])]) { $0.linkCount = 2 }
        source.link([UInt8]("b".utf8), in: 2, to: file)
        source.addFile("a", text: "a name that occurs twice")
        let scratch = try Scratch()
        let target = scratch.path + "/out"
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: false)
        try run("sh", "-c", "echo mine > '\(target)/a'")
        let report = source.extract(to: target)
        #expect(try content(target + "/a") == [UInt8]("mine\n".utf8))
        #expect(try content(target + "/b") == [1])
        #expect(report.skipped.count == 2 && report.skippedPaths["/a"] == .exists)
        #expect(report.files == 1)
    }

    @Test func `devices, FIFOs, sockets and special bits are left out and reported`() throws {
        let source = FakeFileSystem()
        source.add("null", .characterDevice) { $0.device = Inode.Device(major: 1, minor: 3) }
        source.add("disk", .blockDevice) { $0.device = Inode.Device(major: 8, minor: 0) }
        source.add("pipe", .fifo)
        source.add("socket", .socket)
        let program = source.addFile("setuid", text: "#!")
        source.inodes[program]?.permissions = 0o6755
        source.attributes[program] = [
            ExtendedAttribute(name: [UInt8]("user.note".utf8), value: [1, 0, 2]),
            ExtendedAttribute(name: [UInt8]("security.capability".utf8), value: [1]),
        ]
        let secret = source.addFile("secret", text: "x")
        source.inodes[secret]?.obstacle = .encrypted
        let scratch = try Scratch()
        let report = source.extract(to: scratch.path + "/out")
        #expect(
            report.skipped.map(\.reason.rawValue).sorted()
                == [
                    "device", "device", "encrypted", "extended attributes left out", "fifo",
                    "setuid, setgid or sticky bit removed", "socket",
                ]
        )
        #expect(!report.isComplete, "the encrypted file is missing")
        let lines = try tree(scratch.path + "/out")
        #expect(lines.count == 1)
        #expect(lines.first?.contains(" 755 ") == true)
        #expect(lines.first?.hasSuffix("user.note=010002") == true)
    }

    @Test func `an unreadable range stays a hole and is named`() throws {
        let source = FakeFileSystem()
        source.addFile(
            [UInt8]("damaged".utf8),
            [.bytes(noise(8_192)), .failing(8_192), .bytes(noise(100)), .unmapped(50_000)]
        )
        let scratch = try Scratch()
        let report = source.extract(to: scratch.path + "/out")
        #expect(report.problems.map(\.range) == [8_192..<16_384, 16_484..<66_484])
        #expect(report.partial == [[UInt8]("/damaged".utf8)])
        #expect(report.bytes == 8_292)
        let bytes = try content(scratch.path + "/out/damaged")
        #expect(bytes.count == 66_484)
        #expect(bytes[..<8_192].elementsEqual(noise(8_192)))
        #expect(bytes[16_384..<16_484].elementsEqual(noise(100)))
    }

    @Test(.enabled(if: geteuid() == 0, "mounting needs root"))
    func `a full disk is an error that says what is complete`() throws {
        let scratch = try Scratch()
        try run("mount", "-t", "tmpfs", "-o", "size=3m", "none", scratch.path)
        defer { _ = try? run("umount", "-l", scratch.path) }
        let source = FakeFileSystem()
        for index in 0..<9 { source.addFile([UInt8]("f\(index)".utf8), [.bytes(noise(500_000))]) }
        let report = source.extract(to: scratch.path + "/out")
        guard case .failed(.system(let error)) = report.ending else {
            Issue.record("\(report.ending)")
            return
        }
        #expect(error.errno == ENOSPC)
        #expect(report.files == 6)
        let names = try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/out")
        #expect(names.sorted() == ["f0", "f1", "f2", "f3", "f4", "f5"], "no torn file is left")
    }

    @Test func `limits end it or leave files out, and say so`() throws {
        let source = FakeFileSystem()
        for index in 0..<5 { source.addFile([UInt8]("f\(index)".utf8), [.bytes(noise(1_000))]) }
        let scratch = try Scratch()
        let some = source.extract(to: scratch.path + "/a") { $0.maximumFiles = 3 }
        #expect(some.files == 3 && some.ending == .limited && !some.isComplete)
        let small = source.extract(to: scratch.path + "/b") { $0.maximumBytes = 2_500 }
        #expect(small.files == 2 && small.bytes == 2_000)
        #expect(small.skippedPaths.count == 3 && !small.isComplete)
        var directory: UInt64 = 2
        for _ in 0..<20 { directory = source.add("d", in: directory) }
        let shallow = source.extract(to: scratch.path + "/c") { $0.maximumDepth = 10 }
        #expect(shallow.directories == 11 && shallow.problems.count == 1)
    }

    @Test func `more directories and links than are held end it with advice`() throws {
        let source = FakeFileSystem()
        for index in 0..<200 { source.add("d\(index)") }
        source.addFile("z", text: "comes after them")
        let scratch = try Scratch()
        let report = source.extract(to: scratch.path + "/out") { $0.heldBytesMax = 8_000 }
        guard case .failed(let failure) = report.ending else {
            Issue.record("\(report.ending)")
            return
        }
        #expect("\(failure)".contains("--to-tar") && "\(failure)".contains("fewer paths"))
        #expect(report.directories > 10 && report.directories < 200 && report.files == 0)
    }

    @Test func `paths of any length are written`() throws {
        let source = FakeFileSystem()
        var directory: UInt64 = 2
        let name = String(repeating: "n", count: 250)
        for _ in 0..<40 { directory = source.add(name, in: directory) }
        source.addFile("end", in: directory, text: "far")
        source.addLink("link", in: directory, to: "end")
        let scratch = try Scratch()
        let report = source.extract(to: scratch.path + "/out")
        #expect(report.isComplete && report.files == 1 && report.other == 1)
        let depth = try run("find", scratch.path + "/out", "-name", "end", "-printf", "%d")
        #expect(depth == "41")
    }

    @Test func `a directory cycle is reported and ends`() throws {
        let source = FakeFileSystem()
        let directory = source.add("a")
        source.link([0x62], in: directory, to: directory)
        let scratch = try Scratch()
        let report = source.extract(to: scratch.path + "/out")
        #expect(report.problems.count == 1 && !report.isComplete)
        guard case .disk(let error)? = report.problems.first?.failure else {
            Issue.record("another failure")
            return
        }
        #expect(error.reason == .inconsistent)
    }

    @Test func `cancelling leaves whole files only`() throws {
        let source = FakeFileSystem()
        let bytes = noise(3_000_000)
        for index in 0..<20 { source.addFile([UInt8]("f\(index)".utf8), [.bytes(bytes)]) }
        let scratch = try Scratch()
        let cancellation = CancellationFlag()
        let root = Extraction.Root(source, inode: 2, guestPath: [0x2F], name: [0x72])
        let extraction = Extraction([root], to: .directory(path: scratch.path + "/out"))
        let report = extraction.run(cancellation: cancellation) { _ in cancellation.set() }
        #expect(report.ending == .cancelled && report.files < 20)
        let names = try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/out/r")
        #expect(names.count == report.files)
        for name in names { #expect(try content(scratch.path + "/out/r/" + name) == bytes) }
    }

    @Test func `one file goes out as it is, and ends before what cannot be read`() throws {
        let source = FakeFileSystem()
        let whole = source.addFile(
            [UInt8]("w".utf8),
            [.bytes(noise(700_000)), .hole(300_000), .inline([1, 2])]
        )
        let torn = source.addFile([UInt8]("t".utf8), [.bytes(noise(9_000)), .failing(4_096)])
        let scratch = try Scratch()
        for (name, file) in [("w", whole), ("t", torn)] {
            let flags = O_WRONLY | O_CREAT
            let output = try FileDescriptor.open(scratch.path + "/" + name, flags, mode: 0o600)
            let report = copyContent(of: file, in: source, path: [0x66], to: output)
            #expect(report.problems.map(\.range) == (name == "w" ? [] : [9_000..<13_096]))
        }
        let zeros = [UInt8](repeating: 0, count: 300_000)
        #expect(try content(scratch.path + "/w") == noise(700_000) + zeros + [1, 2])
        #expect(try content(scratch.path + "/t") == noise(9_000))
    }
}
