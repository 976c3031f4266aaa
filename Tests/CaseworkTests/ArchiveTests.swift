import Casework
import DiskFormats
import Foundation
import Linux
import TestSupport
import Testing

/// Archives, as programs that we did not write read them.
@Suite struct ArchiveTests {
    /// The Linux form of an access list: version 2, then tag, permissions and id.
    private static func acl(_ entries: [(tag: UInt16, permissions: UInt16, id: UInt32)]) -> [UInt8]
    {
        entries.reduce(into: [2, 0, 0, 0]) { bytes, entry in
            for shift in [0, 8] { bytes.append(UInt8(truncatingIfNeeded: entry.tag >> shift)) }
            for shift in [0, 8] {
                bytes.append(UInt8(truncatingIfNeeded: entry.permissions >> shift))
            }
            for shift in [0, 8, 16, 24] {
                bytes.append(UInt8(truncatingIfNeeded: entry.id >> shift))
            }
        }
    }

    private static let none = UInt32.max

    /// A tree with one of everything that a tar file can hold.
    private static func everything() -> FakeFileSystem {
        let tree = FakeFileSystem()
        let etc = tree.add("etc") {
            $0.modified = Timestamp(seconds: 1_600_000_000, nanoseconds: 1)
        }
        tree.addFile("fstab", in: etc, text: "/dev/vda1 / ext4 defaults 0 1\n")
        tree.addFile("empty", in: etc, text: "")
        tree.addFile("line\nbreak \\ \"quoted\"", in: etc, text: "x")
        tree.addFile([0xFF, 0xFE, 0x62], in: etc, [.bytes([1])])
        tree.addFile("größe-漢字", in: etc, text: "utf-8")
        tree.addFile(String(repeating: "n", count: 255), in: etc, text: "longest name")
        var deep = etc
        for index in 0..<9 {
            deep = tree.add(String(repeating: "d", count: 60) + "\(index)", in: deep)
        }
        tree.addFile("far down", in: deep, text: "path of more than 500 bytes")
        tree.addFile([UInt8](repeating: 0xE4, count: 120), in: deep, [.bytes([2])])
        tree.addFile([UInt8]("sparse far down".utf8), in: deep, [.hole(1 << 20), .bytes([7, 7])])

        let first = tree.addFile([UInt8]("hard".utf8), [.bytes(noise(5_000))]) { $0.linkCount = 3 }
        tree.link([UInt8]("hard again".utf8), in: etc, to: first)
        tree.link([UInt8]("zz hard".utf8), in: deep, to: first)
        tree.addLink("link", to: "etc/fstab")
        tree.addLink("long link", to: String(repeating: "../x/", count: 80))
        tree.addFile([UInt8]("big".utf8), [.bytes(noise(3_000_001))])
        tree.addFile(
            [UInt8]("holes".utf8),
            [
                .hole(4_096), .bytes(noise(4_096)), .unwritten(65_536), .bytes(noise(10)),
                .hole(9_999),
            ]
        )
        tree.addFile([UInt8]("all hole".utf8), [.hole(1 << 20)])
        tree.addFile([UInt8]("inline".utf8), [.inline([9, 8, 7])])
        tree.addFile(
            [UInt8]("huge".utf8),
            [.bytes(noise(4_096, seed: 5)), .hole(10 << 30), .bytes(noise(2_097_152, seed: 6))]
        )
        addSpecials(tree)
        return tree
    }

    private static func addSpecials(_ tree: FakeFileSystem) {
        tree.add("null", .characterDevice, permissions: 0o666) {
            $0.device = Inode.Device(major: 1, minor: 3)
        }
        tree.add("disk", .blockDevice, permissions: 0o660) {
            $0.device = Inode.Device(major: 259, minor: 70_000)
        }
        tree.add("pipe", .fifo, permissions: 0o600)
        tree.add("socket", .socket)
        let program = tree.addFile("setuid", text: "#!")
        tree.inodes[program]?.permissions = 0o4755
        tree.inodes[program]?.userID = 4_000_000
        tree.inodes[program]?.groupID = 3_000_000
        tree.attributes[program] = [
            ExtendedAttribute(name: [UInt8]("user.note".utf8), value: [0, 1, 10, 61, 255]),
            ExtendedAttribute(name: [UInt8]("user.empty".utf8), value: []),
        ]
        let old = tree.addFile("old", text: "o")
        tree.inodes[old]?.modified = Timestamp(seconds: -86_400)
        let shared = tree.add("shared", permissions: 0o2770)
        let access = acl([(1, 7, none), (2, 6, 1_000), (4, 5, none), (16, 7, none), (32, 0, none)])
        let inherited = acl([(1, 7, none), (4, 5, none), (8, 6, 50), (16, 7, none), (32, 0, none)])
        tree.attributes[shared] = [
            ExtendedAttribute(name: [UInt8]("system.posix_acl_access".utf8), value: access),
            ExtendedAttribute(name: [UInt8]("system.posix_acl_default".utf8), value: inherited),
        ]
    }

    @Test(
        .enabled(if: geteuid() == 0, "devices and owners need root"),
        arguments: [
            ["tar", "--xattrs", "--acls", "--numeric-owner", "-xpf"],
            ["bsdtar", "--xattrs", "--acls", "--numeric-owner", "-xpf"],
        ]
    )
    func `GNU tar and bsdtar unpack what was there`(command: [String]) throws {
        let source = Self.everything()
        let scratch = try Scratch()
        let report = try source.archive(to: scratch.path + "/a.tar")
        #expect(report.isComplete)
        #expect(report.skippedPaths == ["/socket": .socket])
        let directory = scratch.path + "/out"
        try FileManager.default.createDirectory(
            atPath: directory,
            withIntermediateDirectories: false
        )
        let words = command.joined(separator: " ")
        try run("sh", "-c", "cd '\(directory)' && \(words) ../a.tar")
        let found = try tree(directory)
        let expected = try Expected(source).lines()
        #expect(found.count == expected.count)
        for (left, right) in zip(found, expected) { #expect(left == right) }
    }

    /// Names that compose to others: combining marks, Hangul by its letters, and marks of Indic
    /// scripts whose combining class is zero.
    private static let composing = [
        "e\u{301}", "\u{1100}\u{1161}\u{11A8}", "\u{9C7}\u{9BE}", "\u{1025}\u{102E}",
        "\u{BC6}\u{BBE}", "\u{AC00}\u{11A8}",
    ]

    @Test func `names and targets in any composition are unpacked as they were`() throws {
        let source = FakeFileSystem()
        for (index, name) in Self.composing.enumerated() {
            let file = source.addFile("a\(index)-\(name)", text: "x")
            source.inodes[file]?.linkCount = 2
            source.link([UInt8]("b\(index)".utf8), in: 2, to: file)
            source.addLink("link\(index)", to: name)
        }
        let scratch = try Scratch()
        _ = try source.archive(to: scratch.path + "/a.tar")
        for (tool, directory) in [("tar", "gnu"), ("bsdtar", "bsd")] {
            try run(
                "sh",
                "-c",
                """
                cd '\(scratch.path)' && mkdir \(directory)
                LC_ALL=C.UTF-8 \(tool) -C \(directory) -xf a.tar
                """
            )
            let found = try tree(scratch.path + "/" + directory)
            #expect(found == (try Expected(source).lines()), "\(tool)")
        }
    }

    @Test func `Python reads names, kinds, owners, times and content as they were`() throws {
        let source = Self.everything()
        let scratch = try Scratch()
        _ = try source.archive(to: scratch.path + "/a.tar")
        let lines = try run("python3", "-c", describeArchive, scratch.path + "/a.tar")
            .split(separator: "\n")
        let found = Set(lines.map(String.init))
        let time = "1700000000.123456789"
        #expect(found.contains("\(hex("etc")) directory 755 0 0 1600000000.000000001"))
        #expect(found.contains { $0.hasPrefix("\(hex("etc/fstab")) file 644 0 0 \(time) 30 ") })
        #expect(found.contains { $0.hasPrefix("\(hex("etc/"))fffe62 file 644 0 0 \(time) 1 ") })
        #expect(found.contains("\(hex("null")) char 666 0 0 \(time)"))
        #expect(found.contains { $0.hasPrefix("\(hex("setuid")) file 4755 4000000 3000000 ") })
        #expect(found.contains("\(hex("shared")) directory 2770 0 0 \(time)"), "the mask is kept")
        #expect(found.contains { $0.hasPrefix("\(hex("huge")) file 644 0 0 \(time) 10739519488") })
        #expect(found.contains { $0.hasPrefix("\(hex("old")) file 644 0 0 -86400 1 ") })
        #expect(lines.count == source.nameCount - 1, "the socket alone is missing")
        let size = try #require(
            FileManager.default.attributesOfItem(atPath: scratch.path + "/a.tar")[.size] as? Int
        )
        #expect(size % 10_240 == 0)
        #expect(size < 6 << 20, "holes are not stored")
    }

    @Test func `a time before 1970 keeps its fraction where the reader follows POSIX`() throws {
        // bsdtar takes the fraction of a negative time for a positive one and is not asked here.
        let source = FakeFileSystem()
        let old = source.addFile("old", text: "o")
        source.inodes[old]?.modified = Timestamp(seconds: -86_400, nanoseconds: 250_000_000)
        let scratch = try Scratch()
        _ = try source.archive(to: scratch.path + "/a.tar")
        let lines = try run("python3", "-c", describeArchive, scratch.path + "/a.tar")
        #expect(lines.contains(" -86399.75 "))
        try run("tar", "-C", scratch.path, "-xf", scratch.path + "/a.tar")
        #expect(try run("stat", "-c", "%.Y", scratch.path + "/old") == "-86399.750000000\n")
    }

    @Test func `an unreadable part is a hole in the map and in the report`() throws {
        let source = FakeFileSystem()
        source.addFile(
            [UInt8]("damaged".utf8),
            [.bytes(noise(8_192)), .failing(4_096), .bytes(noise(100)), .unmapped(50_000)]
        )
        source.addFile([UInt8]("whole".utf8), [.bytes(noise(8_192))])
        let scratch = try Scratch()
        let report = try source.archive(to: scratch.path + "/a.tar")
        #expect(!report.isComplete && report.ending == .finished)
        #expect(report.problems.map(\.range) == [8_192..<12_288, 12_388..<62_388])
        #expect(report.partial == [[UInt8]("/damaged".utf8)])
        #expect(report.files == 2)
        let directory = scratch.path + "/out"
        try FileManager.default.createDirectory(
            atPath: directory,
            withIntermediateDirectories: false
        )
        try run("tar", "-C", directory, "-xf", scratch.path + "/a.tar")
        let damaged = [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory + "/damaged")))
        #expect(damaged.count == 62_388)
        #expect(damaged[..<8_192].elementsEqual(noise(8_192)))
        #expect(damaged[8_192..<12_288].allSatisfy { $0 == 0 })
        #expect(damaged[12_288..<12_388].elementsEqual(noise(100)))
        #expect(
            try tree(directory).contains { $0.hasPrefix(hex("whole")) && $0.contains(" 8192 ") }
        )
    }

    @Test func `a long file that fails to be read keeps the archive in step`() throws {
        let source = FakeFileSystem()
        source.addFile(
            [UInt8]("long".utf8),
            [.bytes(noise(2_000_000)), .failing(100_000), .bytes(noise(10_000))]
        )
        source.addFile([UInt8]("other".utf8), [.bytes(noise(8_192))])
        let scratch = try Scratch()
        let report = try source.archive(to: scratch.path + "/a.tar")
        #expect(report.problems.map(\.range) == [2_000_000..<2_100_000])
        #expect(report.partial == [[UInt8]("/long".utf8)])
        try run("tar", "-tf", scratch.path + "/a.tar")
        try run("tar", "-C", scratch.path, "-xf", scratch.path + "/a.tar")
        let other = [UInt8](try Data(contentsOf: URL(fileURLWithPath: scratch.path + "/other")))
        #expect(other == noise(8_192))
    }

    @Test func `a cancelled archive lacks the blocks that end one`() throws {
        let source = FakeFileSystem()
        let content = noise(1_500_000)
        for index in 0..<30 { source.addFile([UInt8]("file\(index)".utf8), [.bytes(content)]) }
        let scratch = try Scratch()
        let cancellation = CancellationFlag()
        let file = try FileDescriptor.open(
            scratch.path + "/a.tar",
            O_WRONLY | O_CREAT | O_EXCL,
            mode: 0o600
        )
        let root = Extraction.Root(source, inode: 2, guestPath: [0x2F], name: [])
        let report = Extraction([root], to: .archive(file)).run(cancellation: cancellation) { _ in
            cancellation.set()
        }
        #expect(report.ending == .cancelled)
        #expect(!report.isComplete)
        #expect(report.files < 30)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: scratch.path + "/a.tar"))
        #expect(!bytes.suffix(1_024).allSatisfy { $0 == 0 })
    }

    @Test func `a reader that goes away ends the extraction without a signal`() throws {
        let source = FakeFileSystem()
        source.addFile([UInt8]("file".utf8), [.bytes(noise(6_000_000))])
        let ends = try FileDescriptor.pipe()
        try ends.reading.close()
        let root = Extraction.Root(source, inode: 2, guestPath: [0x2F], name: [])
        let report = Extraction([root], to: .archive(ends.writing)).run()
        #expect(report.ending == .outputClosed)
    }

    @Test func `several roots keep their own names`() throws {
        let source = FakeFileSystem()
        let etc = source.add("etc")
        let file = source.addFile("fstab", in: etc, text: "a")
        let scratch = try Scratch()
        let output = try FileDescriptor.open(
            scratch.path + "/a.tar",
            O_WRONLY | O_CREAT | O_EXCL,
            mode: 0o600
        )
        let roots = [
            Extraction.Root(
                source,
                inode: etc,
                guestPath: [UInt8]("/etc".utf8),
                name: [UInt8]("one/etc".utf8)
            ),
            Extraction.Root(
                source,
                inode: file,
                guestPath: [UInt8]("/etc/fstab".utf8),
                name: [UInt8]("fstab".utf8)
            ),
            Extraction.Root(source, inode: file, guestPath: [0x78], name: [UInt8]("../x".utf8)),
            Extraction.Root(source, inode: 999, guestPath: [0x79], name: [0x79]),
        ]
        let report = Extraction(roots, to: .archive(output)).run()
        let names = try run("tar", "-tf", scratch.path + "/a.tar")
        #expect(names == "one/etc/\none/etc/fstab\nfstab\n")
        #expect(report.skippedPaths == ["x": .invalidName])
        #expect(report.problems.map(\.path) == [[0x79]])
    }

    @Test func `what goes from a layer into the pipe without a copy is what a copy would be`()
        throws
    {
        let bytes = noise(3_300_000)
        let scratch = try Scratch()
        try Data([UInt8](repeating: 0xAA, count: 512) + bytes)
            .write(to: URL(fileURLWithPath: scratch.path + "/layer"))
        let layer = try FileDescriptor.open(scratch.path + "/layer", O_RDONLY)
        let source = FakeFileSystem()
        source.addFile([UInt8]("long".utf8), [.bytes(bytes), .hole(8_192), .bytes(noise(700))])
        source.addFile([UInt8]("short".utf8), [.bytes(noise(9_000))])
        let crooked: [FakeFileSystem.Piece] = [
            .bytes(noise(700)), .hole(5_000), .bytes(noise(100)), .hole(300), .bytes(noise(5)),
        ]
        source.addFile([UInt8]("crooked".utf8), crooked)
        source.layerOffset = 512 - 4_096
        let root = Extraction.Root(source, inode: 2, guestPath: [0x2F], name: [], layers: [layer])
        let ends = try FileDescriptor.pipe()
        let written = scratch.path + "/a.tar"
        let drain = Thread {
            let all = try? ends.reading.readAll(limit: 1 << 24)
            _ = FileManager.default.createFile(atPath: written, contents: all.map { Data($0) })
        }
        drain.start()
        let report = Extraction([root], to: .archive(ends.writing)).run()
        try ends.writing.close()
        while !drain.isFinished { Thread.sleep(forTimeInterval: 0.01) }
        #expect(report.isComplete && report.bytes == 3_310_505)
        try run("tar", "-C", scratch.path, "-xf", written)
        let long = [UInt8](try Data(contentsOf: URL(fileURLWithPath: scratch.path + "/long")))
        let whole = bytes + [UInt8](repeating: 0, count: 8_192) + noise(700)
        let difference = zip(long, whole).enumerated().first { $1.0 != $1.1 }?.offset
        #expect(long.count == whole.count && difference == nil)
        let short = [UInt8](try Data(contentsOf: URL(fileURLWithPath: scratch.path + "/short")))
        #expect(short == noise(9_000))
        let small = [UInt8](try Data(contentsOf: URL(fileURLWithPath: scratch.path + "/crooked")))
        let zeros = { [UInt8](repeating: 0, count: $0) }
        #expect(small == noise(700) + zeros(5_000) + noise(100) + zeros(300) + noise(5))
    }
}
