import Foundation
import Testing

@testable import DiskFormats

@Suite struct Ext4FeatureTests {
    @Test(arguments: ["half_md4", "tea", "legacy"])
    func `names hash as debugfs hashes them`(algorithm: String) throws {
        let scratch = try Ext4Scratch()
        let path = scratch("image")
        try Ext4Tool.mke2fs("-t ext2", size: "1M", at: path)
        let codes: [String: UInt8] = ["legacy": 0, "half_md4": 1, "tea": 2]
        let seed: [UInt32] = [0x4433_2211, 0x6655_8877, 0xAA99_8877, 0xFFEE_DDCC]
        let long = String(repeating: "long-name", count: 20)
        for name in ["a", "abc", "sixteen-letters!", "passwd.lock", "caf\u{E9}", long] {
            let hash = try #require(Ext4NameHash(code: codes[algorithm] ?? 9, unsigned: false))
            for seeded in [false, true] {
                // The seed is printed as a UUID: as bytes.
                let option = seeded ? "-s 11223344-7788-5566-7788-99aaccddeeff" : ""
                let output = try Ext4Tool.debugfs(path, "dx_hash -h \(algorithm) \(option) \(name)")
                let printed = try #require(
                    output.split(separator: " ").first { $0.hasPrefix("0x") }
                )
                let value = hash.hash(Array(name.utf8), seed: seeded ? seed : [0, 0, 0, 0])
                #expect("0x" + String(value, radix: 16) == printed, "\(name) \(seeded)")
            }
        }
    }

    @Test(arguments: ["-b 1024 -O large_dir", "-b 1024 -O ^metadata_csum", "-b 4096"])
    func `every name of a large directory is found by the index`(options: String) throws {
        let scratch = try Ext4Scratch()
        let script = "mkdir -p $1/d; cd $1/d; seq -f 'a-name-that-takes-room-%g' 8000 | xargs touch"
        try Ext4Tool.run(["bash", "-c", script, "bash", scratch("tree")])
        let path = scratch("image")
        try Ext4Tool.mke2fs(
            "-t ext4 -N 9000 \(options)",
            size: "32M",
            tree: scratch("tree"),
            at: path
        )
        _ = try Ext4Tool.attempt(["e2fsck", "-fyD", path])
        let fileSystem = try openImage(path)
        let directory = try #require(try fileSystem.lookup(Array("d".utf8), in: 2))
        let node = try fileSystem.node(directory)
        #expect(fileSystem.isIndexed(node))
        let listing = try fileSystem.entries(of: directory)
        #expect(listing.problems == [])
        #expect(listing.entries.count == 8000)
        for entry in listing.entries {
            var search = try #require(try Ext4HashSearch(fileSystem, node, entry.name))
            #expect(try search.find() == entry.inode)
        }
        #expect(try fileSystem.lookup(Array("absent".utf8), in: directory) == nil)
        // With the index damaged the names are still found.
        var image = try imageBytes(path)
        guard
            case .volume(let root)? = try fileSystem.extents(of: node, in: 0..<1024).first?.content
        else {
            Issue.record("the directory has no first block")
            return
        }
        for index in 32..<64 { image[Int(root) + index] = 0xFF }
        let damaged = try Ext4FileSystem(volume: MemorySource(image))
        #expect(try damaged.lookup(listing.entries[77].name, in: directory) != nil)
    }

    @Test func `attributes and access control lists are as getfattr shows them`() throws {
        let scratch = try Ext4Scratch()
        let script = """
            set -e; mkdir "$1"; cd "$1"; echo x > f
            setfattr -n user.small -v value f
            setfattr -n user.big -v "$(head -c 2500 /dev/zero | tr '\\0' b)" f
            setfattr -n user.empty f
            setfacl -m u:1234:rw,g:4321:r f; mkdir d; setfacl -d -m u:7:rwx d
            """
        let (status, output) = try Ext4Tool.attempt(["bash", "-c", script, "bash", scratch("tree")])
        try #require(status == 0, "\(output)")
        for options in [
            "-t ext4 -I 256 -b 4096", "-t ext4 -I 1024 -b 4096", "-t ext4 -O ea_inode -b 1024",
        ] {
            let path = scratch("image")
            try Ext4Tool.mke2fs(options, size: "16M", tree: scratch("tree"), at: path)
            let walk = Ext4Listing(try openImage(path))
            #expect(walk.problems == [])
            for name in ["f", "d"] {
                let dump = try Ext4Tool.run([
                    "getfattr", "-d", "-m", "user|posix_acl", "-e", "hex", "--absolute-names",
                    scratch("tree") + "/" + name,
                ])
                let lines = dump.split(separator: "\n").filter { !$0.hasPrefix("#") }
                let expected = Set(
                    lines.map { $0.hasSuffix("=0x") ? String($0.dropLast(3)) : String($0) }
                )
                let attributes = walk.files["/" + name]?.attributes ?? [:]
                let found = attributes.map { name, value in
                    let hex = value.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
                    return value.isEmpty ? name : "\(name)=0x\(hex)"
                }
                let isSame = Set(found) == expected
                #expect(isSame, "\(options) \(name): \(found.count) of \(expected.count)")
            }
        }
    }

    @Test func `times reach past 2038 and to the nanosecond`() throws {
        let scratch = try Ext4Scratch()
        let path = scratch("image")
        try Ext4Tool.mke2fs("-t ext4 -I 256", size: "8M", at: path)
        try Ext4Tool.debugfs(
            path,
            write: [
                "write /bin/true f", "sif f mtime @100", "sif f mtime_extra 493827157",
                "sif f crtime @4294967295", "sif f crtime_extra 4",
            ]
        )
        let inode = try #require(Ext4Listing(try openImage(path)).files["/f"]?.inode)
        #expect(inode.modified == Timestamp(seconds: 100 + 1 << 32, nanoseconds: 123_456_789))
        #expect(inode.created == Timestamp(seconds: -1, nanoseconds: 1))
    }

    @Test(arguments: [
        "-t ext4 -b 1024", "-t ext4 -b 4096", "-t ext2", "-t ext3 -m 0",
        "-t ext4 -O bigalloc -C 16384 -b 1024", "-t ext4 -O meta_bg,^resize_inode -b 1024 -g 512",
        "-t ext4 -O sparse_super2 -b 1024", "-t ext4 -O casefold,encrypt,verity,project,quota",
    ])
    func `the summary is what dumpe2fs and blkid say`(options: String) throws {
        let scratch = try Ext4Scratch()
        let path = scratch("image")
        try Ext4Tool.mke2fs(options + " -L a-label", size: "64M", at: path)
        let summary = try openImage(path).summary
        let dump = try Ext4Tool.run(["dumpe2fs", "-h", path])
        let line = dump.split(separator: "\n").first { $0.hasPrefix("Filesystem features:") }
        let features = line?.split(separator: " ").dropFirst(2).map(String.init) ?? []
        #expect(summary.features == features)
        let probe = try Ext4Tool.run(["blkid", "-p", "-o", "export", path])
        #expect(probe.contains("\nTYPE=\(summary.type)\n"))
        #expect(probe.contains("UUID=\(summary.uuid)\n"))
        #expect(summary.label == Array("a-label".utf8))
    }

    @Test(
        .enabled(if: Ext4Tool.mayMount, "mounting needs root and loop devices"),
        arguments: [
            "-t ext4 -b 1024", "-t ext4 -b 4096", "-t ext2", "-t ext3 -m 0",
            "-t ext4 -O bigalloc -C 16384 -b 1024",
            "-t ext4 -O meta_bg,^resize_inode -b 1024 -g 512",
            "-t ext4 -O sparse_super2 -b 1024",
        ]
    )
    func `sizes and free space are what the kernel's statfs says`(options: String) throws {
        let scratch = try Ext4Scratch()
        let path = scratch("image")
        try Ext4Tool.mke2fs(options, size: "64M", at: path)
        let summary = try openImage(path).summary
        let mount = scratch("mount")
        try Ext4Tool.run(["mkdir", mount])
        try Ext4Tool.run(["mount", "-o", "loop,ro", path, mount])
        let output = try Ext4Tool.attempt(["stat", "-f", "-c", "%b %f %a %c %d", mount]).1
        try Ext4Tool.run(["umount", mount])
        let size = UInt64(summary.blockSize)
        let found = [summary.totalBytes, summary.freeBytes, summary.availableBytes].map {
            $0 / size
        }
        let all = (found + [summary.totalInodes, summary.freeInodes]).map(String.init)
        #expect(all.joined(separator: " ") + "\n" == output)
    }

    @Test(.enabled(if: Ext4Tool.mayMount, "mounting needs root and loop devices"))
    func `a journal is replayed, or left out on request`() throws {
        let scratch = try Ext4Scratch()
        let (path, mount) = (scratch("image"), scratch("mount"))
        try Ext4Tool.mke2fs("-t ext4 -b 4096", size: "64M", at: path)
        try Ext4Tool.run(["mkdir", mount])
        try Ext4Tool.run(["mount", "-o", "loop", path, mount])
        let script = """
            cd "$1"; mkdir d; for i in $(seq 50); do echo $i > d/f$i; done; sync; cp "$2" "$2.dirty"
            """
        let (status, output) = try Ext4Tool.attempt(["bash", "-c", script, "bash", mount, path])
        try Ext4Tool.run(["umount", mount])
        try #require(status == 0, "\(output)")
        // What the journal has a copy of is destroyed in its place.
        var image = try imageBytes(path + ".dirty")
        let first = try Ext4FileSystem(volume: MemorySource(image))
        let directory = try #require(try first.lookup(Array("d".utf8), in: 2))
        let content = try first.extents(of: directory, in: 0..<4096).first?.content
        guard case .volume(let place)? = content else {
            Issue.record("the directory has no block")
            return
        }
        for index in 0..<4096 { image[Int(place) + index] = 0xEE }
        let fileSystem = try Ext4FileSystem(volume: MemorySource(image))
        guard case .replayed(let transactions, let blocks) = fileSystem.summary.journal else {
            Issue.record("not replayed")
            return
        }
        #expect(transactions > 0 && blocks > 0)
        let walk = Ext4Listing(fileSystem)
        #expect(walk.problems == [])
        #expect(walk.files["/d/f50"]?.content == Array("50\n".utf8))
        let ignored = try Ext4FileSystem(volume: MemorySource(image), journal: .ignore)
        #expect(ignored.summary.journal == .ignored)
        #expect(Ext4Listing(ignored).files["/d/f50"] == nil)
    }

    @Test func `encrypted and verity files are refused one by one`() throws {
        let scratch = try Ext4Scratch()
        let path = scratch("image")
        try Ext4Tool.mke2fs("-t ext4 -O encrypt,verity,casefold", size: "8M", at: path)
        try Ext4Tool.debugfs(
            path,
            write: [
                "write /bin/true plain", "write /bin/true Secret", "sif Secret flags 0x80800",
                "write /bin/true sealed", "sif sealed flags 0x180000", "mkdir vault",
                "write /bin/true vault/x", "sif vault flags 0x80800",
            ]
        )
        let fileSystem = try openImage(path)
        let walk = Ext4Listing(fileSystem)
        #expect(walk.files["/plain"]?.content.isEmpty == false)
        #expect(walk.files["/vault"]?.inode.obstacle == .encrypted)
        #expect(walk.problems.count == 3)
        #expect(walk.problems.allSatisfy { $0.reason == .unsupported })
        let sealed = try #require(try fileSystem.lookup(Array("sealed".utf8), in: 2))
        #expect(try fileSystem.inode(sealed).obstacle == .verity)
        #expect(try fileSystem.lookup(Array("secret".utf8), in: 2) == nil)
    }

    @Test func `a casefold directory prefers the exact name`() throws {
        let scratch = try Ext4Scratch()
        let path = scratch("image")
        try Ext4Tool.mke2fs("-t ext4 -O casefold", size: "8M", at: path)
        try Ext4Tool.debugfs(
            path,
            write: [
                "mkdir d", "sif d flags 0x40080000", "write /bin/true d/ReadMe",
                "write /bin/true d/README",
            ]
        )
        let fileSystem = try openImage(path)
        let walk = Ext4Listing(fileSystem)
        let directory = try #require(walk.files["/d"]?.inode.number)
        func find(_ name: String) throws -> UInt64? {
            try fileSystem.lookup(Array(name.utf8), in: directory)
        }
        #expect(try find("README") == walk.files["/d/README"]?.inode.number)
        #expect(try find("ReadMe") == walk.files["/d/ReadMe"]?.inode.number)
        #expect(try find("readme") != nil)
        #expect(try find("readyou") == nil)
    }
}
