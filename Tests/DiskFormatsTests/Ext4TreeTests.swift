import Foundation
import Testing

@testable import DiskFormats

/// A tree on the host, and comparing it with what was read from an image of it.
struct Ext4SampleTree {
    let path: String

    init(in scratch: Ext4Scratch) throws {
        path = scratch("tree")
        let script = """
            set -e
            mkdir -p "$1/dir/deep/deeper" "$1/many" "$1/empty"
            cd "$1"
            printf 'hello\\n' > hello
            : > nothing
            head -c 40 /dev/urandom > tiny
            head -c 150 /dev/urandom > small
            head -c 300000 /dev/urandom > medium
            head -c 5000000 /dev/urandom > large
            truncate -s 3000000 sparse
            printf x | dd of=sparse bs=1 seek=1000000 conv=notrunc status=none
            printf y | dd of=sparse bs=1 seek=2999999 conv=notrunc status=none
            ln hello dir/again
            ln -s hello fast
            ln -s "$(printf 'l%.0s' $(seq 1 59))" fast59
            ln -s "$(printf 'l%.0s' $(seq 1 60))" slow60
            ln -s "$(printf 'l%.0s' $(seq 1 700))" slow700
            mkfifo pipe
            touch "$(printf 'caf\\351')" "$(printf 'n%.0s' $(seq 1 255))"
            for i in $(seq 1 300); do printf %s $i > many/file-with-a-long-name-$i; done
            chmod 4751 tiny; chmod 1777 empty
            touch -d '2037-01-02 03:04:05 UTC' small
            touch -d '1950-01-02 03:04:05 UTC' tiny
            if [ "$(id -u)" = 0 ]; then
                mknod char c 5 1; mknod wide b 300 70000
                chown 100000:200000 medium
            fi
            """
        try Ext4Tool.run(["bash", "-c", script, "bash", path])
    }

    /// Compares names, types, modes, owners, link counts, sizes, times, targets and contents.
    func compare(
        with walk: Ext4Listing,
        wideTimes: Bool = true,
        location: SourceLocation = #_sourceLocation
    ) throws {
        #expect(walk.problems == [], sourceLocation: location)
        let output = try Ext4Tool.run([
            "find", path, "-mindepth", "1", "-printf", "%P\\t%y\\t%m\\t%U\\t%G\\t%n\\t%s\\t%Ts\\0",
        ])
        var expected: Set<String> = []
        for record in output.split(separator: "\0") {
            let field = record.split(separator: "\t").map(String.init)
            let name = "/" + field[0]
            expected.insert(name)
            let file = try #require(walk.files[name], "\(name)", sourceLocation: location)
            let inode = file.inode
            let type = ["f": "file", "d": "directory", "l": "symlink", "p": "fifo", "c": "char"]
            #expect(inode.type.rawValue == type[field[1], default: "block"])
            #expect(String(inode.permissions, radix: 8) == field[2], "\(name)")
            #expect("\(inode.userID):\(inode.groupID)" == "\(field[3]):\(field[4])", "\(name)")
            if inode.type != .directory {
                #expect(String(inode.linkCount) == field[5], "\(name)", sourceLocation: location)
                #expect(String(inode.size) == field[6], "\(name)", sourceLocation: location)
            }
            if wideTimes { #expect(String(inode.modified.seconds) == field[7], "\(name)") }
            guard !name.contains("\u{FFFD}") else { continue }
            if inode.type == .regular {
                // A difference of large arrays takes the testing library minutes to describe.
                let isSame = try imageBytes(path + name) == file.content
                #expect(isSame, "\(name)", sourceLocation: location)
            }
            if inode.type == .symbolicLink {
                let target = try FileManager.default.destinationOfSymbolicLink(atPath: path + name)
                #expect(file.target == Array(target.utf8), "\(name)", sourceLocation: location)
            }
        }
        let found = Set(walk.files.keys.filter { !$0.hasPrefix("/lost+found") })
        #expect(found == expected, sourceLocation: location)
    }
}

@Suite struct Ext4TreeTests {
    @Test(arguments: [
        "-t ext2 -b 1024", "-t ext2 -b 4096 -r 0 -I 128", "-t ext3 -b 2048",
        "-t ext4 -b 1024", "-t ext4 -b 4096", "-t ext4 -b 4096 -O ^metadata_csum",
        "-t ext4 -b 16384", "-t ext4 -b 65536",
        "-t ext4 -O ^metadata_csum,uninit_bg -b 1024", "-t ext4 -O ^64bit -b 1024 -g 256",
        "-t ext4 -O meta_bg,^resize_inode -b 1024 -g 512",
        "-t ext4 -O meta_bg,^resize_inode,^flex_bg,^64bit -b 1024 -g 256",
        "-t ext4 -O bigalloc -C 16384 -b 1024", "-t ext4 -O bigalloc -C 65536 -b 4096",
        "-t ext4 -O inline_data -b 1024 -I 256", "-t ext4 -O inline_data -b 4096 -I 1024",
        "-t ext4 -O metadata_csum_seed -b 4096", "-t ext4 -O ^extents,^64bit -b 1024",
        "-t ext4 -O ^dir_index,^filetype -b 1024", "-t ext4 -I 128 -b 4096",
        "-t ext4 -O sparse_super2 -b 1024", "-t ext4 -O large_dir,ea_inode -b 1024",
        "-t ext4 -O ^has_journal,quota,project -b 4096", "-t ext4 -O casefold,encrypt,verity",
        "-t ext4 -O mmp,orphan_file -b 4096", "-t ext4 -O fast_commit -b 4096",
    ])
    func `every kind of ext4 gives the tree that it was filled from`(options: String) throws {
        let scratch = try Ext4Scratch()
        let tree = try Ext4SampleTree(in: scratch)
        let image = scratch("image")
        let size = options.contains("65536") ? "256M" : "64M"
        try Ext4Tool.mke2fs(options, size: size, tree: tree.path, at: image)
        let fileSystem = try openImage(image)
        #expect(fileSystem.summary.problems == [])
        let narrow = options.contains("-I 128")
        let listing = Ext4Listing(fileSystem)
        try tree.compare(with: listing, wideTimes: !narrow)
        let pieces = try compareShortcuts(listing, fileSystem)
        #expect(pieces > 0 || !options.hasPrefix("-t ext4") || options.contains("^extents"))
    }

    @Test func `a directory gives as many names as may be held, and says that there are more`()
        throws
    {
        let scratch = try Ext4Scratch()
        let tree = try Ext4SampleTree(in: scratch)
        let image = scratch("image")
        try Ext4Tool.mke2fs("-t ext4 -b 1024", size: "64M", tree: tree.path, at: image)
        let fileSystem = try openImage(image)
        let many = try #require(try fileSystem.lookup(Array("many".utf8), in: 2))
        let all = try fileSystem.entries(of: many)
        let size = all.entries.reduce(0) { $0 + $1.heldBytes }
        #expect(all.entries.count == 300 && all.problems.isEmpty)
        #expect(try fileSystem.entries(of: many, heldBytesMax: size) == all)
        for (room, count) in [(size - 1, 299), (all.entries[0].heldBytes, 1), (1, 0), (0, 0)] {
            let some = try fileSystem.entries(of: many, heldBytesMax: room)
            #expect(some.entries == Array(all.entries.prefix(count)))
            #expect(some.problems.map(\.reason) == [.unsupported])
        }
    }

    /// Compares what an inode alone says with the extents and attributes; returns how many files
    /// it says to be in one piece.
    private func compareShortcuts(
        _ listing: Ext4Listing,
        _ fileSystem: Ext4FileSystem
    ) throws -> Int {
        var pieces = 0
        for file in listing.files.values {
            let inode = file.inode
            let attributes = try fileSystem.extendedAttributes(of: inode.number)
            #expect(inode.mayHaveAttributes || attributes.isEmpty)
            guard let place = inode.contiguousOffset else { continue }
            let content = FileExtent.Content.volume(offset: place)
            let whole = FileExtent(fileOffset: 0, length: inode.size, content: content)
            #expect(try fileSystem.extents(of: inode.number, in: 0..<inode.size) == [whole])
            pieces += 1
        }
        return pieces
    }
}
