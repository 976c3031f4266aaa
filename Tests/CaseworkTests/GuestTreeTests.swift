import DiskFormats
import TestSupport
import Testing

@testable import Casework

@Suite struct GuestTreeTests {
    private func mount(_ point: String, _ fileSystem: any FileSystem) -> GuestTree.Mount {
        GuestTree.Mount(
            point: GuestPath.components(of: [UInt8](point.utf8)),
            volume: GuestPath.VolumeName(disk: "disk", volume: point),
            fileSystem: fileSystem
        )
    }

    /// `/a/b` with `/a/b/f`, a file system with `/g` mounted on `/a/m`, and links to and fro.
    private func tree() -> GuestTree {
        let root = FakeFileSystem()
        let a = root.add("a")
        let b = root.add("b", in: a)
        root.addFile("f", in: b, text: "f")
        root.add("m", in: a)
        root.addLink("up", in: b, to: "../..")
        root.addLink("over", in: b, to: "../m/x/../g")
        root.addLink("absolute", in: b, to: "/a/b")
        let other = FakeFileSystem()
        other.addFile("g", text: "g")
        other.addLink("out", in: other.add("x"), to: "../../b/f")
        let mounted = mount("/a/m", other)
        return GuestTree(
            root: mount("/", root),
            mountPoints: [GuestTree.MountPoint(mounted.point) { mounted }]
        )
    }

    @Test(arguments: [
        ("/a/b/f", "/a/b/f", "/"), ("/a/b/../b/f", "/a/b/f", "/"), ("/../../a/b/f", "/a/b/f", "/"),
        ("/a/m/../b/f", "/a/b/f", "/"), ("/a/m/x/../../b/../m/g", "/a/m/g", "/a/m"),
        ("/a/b/up/a/m/g", "/a/m/g", "/a/m"), ("/a/b/over", "/a/m/g", "/a/m"),
        ("/a/m/x/out", "/a/b/f", "/"), ("/a/b/absolute/../m/./x/..", "/a/m", "/a/m"),
        ("/a/b/absolute/../../..", "/", "/"), ("/..", "/", "/"),
    ])
    func `two dots lead back the way that came, across mounts and links`(
        path: String,
        canonical: String,
        volume: String
    ) throws {
        let file = try tree().resolve([UInt8](path.utf8))
        #expect(String(decoding: file.path, as: UTF8.self) == canonical)
        #expect(file.volume.volume == volume)
        let direct = try tree().resolve([UInt8](canonical.utf8))
        #expect(file.inode == direct.inode)
    }

    @Test func `each component is looked up once, however many dots there are`() throws {
        let counted = CountingFileSystem(FakeFileSystem())
        var directory: UInt64 = 2
        for _ in 0..<1_000 { directory = counted.base.add("d", in: directory) }
        counted.base.add("e", in: directory)
        let tree = GuestTree(root: mount("/", counted))
        let down = String(repeating: "/d", count: 1_000)
        let turns = String(repeating: "/e/..", count: 500)
        let file = try tree.resolve([UInt8]((down + turns).utf8))
        #expect(file.inode == directory)
        #expect(counted.lookups == 1_500)
    }
}
