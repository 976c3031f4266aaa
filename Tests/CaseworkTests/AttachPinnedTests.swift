import Foundation
import Glibc
import Linux
import Testing

@testable import Casework
@testable import DiskFormats

/// What a pinned chain decides, on files that exist in memory only.
@Suite struct AttachPinnedTests {
    static let image = AttachChainTests.image
    static let base = "/srv/instances/_base/base"
    static let top = PinnedLayer(path: image, format: .qcow2)

    /// An overlay on a raw base.
    static func files() -> ImaginaryFiles {
        let files = AttachChainTests.files(emptyImage(backing: "../_base/base"))
        files.entries["/srv/instances/1/alias"] = .init(link: base)
        return files
    }

    static func open(
        _ files: ImaginaryFiles,
        _ layers: [PinnedLayer],
        isComplete: Bool = true,
        format: ImageFormat? = nil
    ) throws(AttachError) -> AttachedDisk {
        let chain = PinnedChain(layers, isComplete: isComplete)
        return try AttachChainTests.open(files, AttachOptions(format: format, chain: chain))
    }

    @Test(arguments: [base, "/srv/instances/1/../_base/base", "/srv/instances/1/alias"])
    func `a chain that is as it is stated is read, by whatever names`(name: String) throws {
        let disk = try Self.open(Self.files(), [Self.top, .init(path: name, format: .raw)])
        #expect(disk.layers.map(\.format) == [.qcow2, .raw] && disk.warnings.isEmpty)
        #expect(try disk.source.bytes(at: 0, count: 3) == [1, 2, 3])
    }

    @Test(arguments: [
        ([PinnedLayer(path: "/srv/instances/2/disk", format: .qcow2)], 0),
        ([PinnedLayer(path: "/srv/instances/2/disk", format: .raw)], 0),
        ([PinnedLayer(path: base, format: .raw)], 0),
        ([PinnedLayer(path: image, format: .raw), .init(path: base, format: .raw)], 1),
        ([top], 1),
        ([top, .init(path: base, format: .qcow2)], 1),
        ([top, .init(path: "/srv/secret", format: .raw)], 1),
        ([top, .init(path: image, format: .qcow2)], 1),
        ([top, .init(path: base, format: .raw), .init(path: "/srv/secret", format: .raw)], 2),
        ([top, .init(path: base, format: .raw), .init(path: base, format: .raw)], 2),
    ])
    func `each difference is refused, before the file in question is opened`(
        layers: [PinnedLayer],
        opened: Int
    ) throws {
        let files = Self.files()
        let error = #expect(throws: AttachError.self) { try Self.open(files, layers) }
        #expect(error?.kind == .refused, "\(String(describing: error))")
        #expect(files.opened == Array([Self.image, Self.base].prefix(opened)))
    }

    @Test func `a difference is told with both files`() throws {
        let other = PinnedLayer(path: "/srv/secret", format: .qcow2)
        let error = #expect(throws: AttachError.self) {
            try Self.open(Self.files(), [Self.top, other])
        }
        let message = try #require(error?.message)
        #expect(
            message.contains("_base/base\" (raw)") && message.contains("\"/srv/secret\" (qcow2)")
        )
    }

    @Test func `a stated file that does not exist is not found`() {
        let gone = PinnedLayer(path: "/srv/instances/_base/gone", format: .raw)
        let error = #expect(throws: AttachError.self) {
            try Self.open(Self.files(), [Self.top, gone])
        }
        #expect(error?.kind == .notFound && error?.path == gone.path)
    }

    @Test func `where the end is not stated, the headers lead on from there`() throws {
        let disk = try Self.open(Self.files(), [Self.top], isComplete: false)
        #expect(disk.layers.count == 2)
        let both = [Self.top, PinnedLayer(path: Self.base, format: .raw)]
        #expect(try Self.open(Self.files(), both, isComplete: false).layers.count == 2)
        #expect(throws: AttachError.self) {
            try Self.open(Self.files(), both + [both[1]], isComplete: false)
        }
    }

    @Test func `a raw disk on which a guest wrote a qcow2 header is read as raw, without a word`()
        throws
    {
        let trap = emptyImage(backing: AttachChainTests.canary)
        let files = AttachChainTests.files(trap)
        // Neither the file beside it nor its first bytes count.
        files.entries["/srv/instances/1/disk.info"] = .init(
            bytes: Array("{\"disk\":\"qcow2\"}".utf8)
        )
        let disk = try Self.open(files, [.init(path: Self.image, format: .raw)])
        #expect(disk.format == .raw && disk.warnings.isEmpty && disk.layers.count == 1)
        #expect(try disk.source.bytes(at: 0, count: trap.count) == trap)
    }

    @Test func `what is stated as qcow2 and is none is refused`() {
        for bytes in [[UInt8](repeating: 0, count: 65536), [1, 2, 3], []] {
            let files = AttachChainTests.files(bytes)
            files.entries["/srv/instances/1/disk.info"] = .init(
                bytes: Array("{\"disk\":\"raw\"}".utf8)
            )
            let error = #expect(throws: AttachError.self) { try Self.open(files, [Self.top]) }
            #expect(error?.kind == .refused, "\(String(describing: error))")
        }
    }

    @Test(arguments: [
        "json:{\"file.filename\":\"/srv/instances/_base/base\"}", "nbd://192.0.2.1/x",
        "file:../_base/base", "/etc/canary", "../2/disk",
    ])
    func `a name that is not followed stays refused, whatever is stated`(name: String) {
        for path in [Self.base, AttachChainTests.canary, "/srv/instances/2/disk"] {
            let files = AttachChainTests.files(emptyImage(backing: name))
            let layers = [Self.top, PinnedLayer(path: path, format: .raw)]
            let error = #expect(throws: AttachError.self) { try Self.open(files, layers) }
            #expect(error?.kind == .refused && files.opened == [Self.image])
        }
    }

    @Test func `a format that says otherwise, and a chain of nothing, make no sense`() {
        let layers = [Self.top, PinnedLayer(path: Self.base, format: .raw)]
        let error = #expect(throws: AttachError.self) {
            try Self.open(Self.files(), layers, format: .raw)
        }
        #expect(error?.kind == .usage)
        #expect((try? Self.open(Self.files(), layers, format: .qcow2)) != nil)
        for isComplete in [true, false] {
            let files = Self.files()
            let none = #expect(throws: AttachError.self) {
                try Self.open(files, [], isComplete: isComplete)
            }
            #expect(none?.kind == .usage && files.opened.isEmpty)
        }
    }
}

/// The same on images that QEMU made.
@Suite(.enabled(if: AttachBench.hasQEMU, "qemu-utils is not installed"))
struct AttachPinnedImageTests {
    /// Two overlays on a raw base, and another base beside it with the same content.
    private static func bench() throws -> AttachBench {
        let bench = try AttachBench()
        for name in ["base", "other"] {
            try bench.write([UInt8](repeating: 0xAB, count: 1 << 20), bench.base(name))
        }
        try bench.create("mid", ["-f", "qcow2", "-b", "../_base/base", "-F", "raw"])
        try bench.create("disk", ["-f", "qcow2", "-b", "mid", "-F", "qcow2"])
        return bench
    }

    private static func chain(_ bench: AttachBench, base: String = "base") -> PinnedChain {
        let layers = [
            PinnedLayer(path: bench.path("disk"), format: .qcow2),
            PinnedLayer(path: bench.path("mid"), format: .qcow2),
            PinnedLayer(path: bench.base(base), format: .raw),
        ]
        return PinnedChain(layers, isComplete: true)
    }

    private static func open(
        _ bench: AttachBench,
        _ chain: PinnedChain
    ) throws(AttachError) -> AttachedDisk {
        try attach(bench.path("disk"), options: AttachOptions(chain: chain, locking: .none))
    }

    @Test func `a chain is read while it is as stated, and refused once it is another`() throws {
        let bench = try Self.bench()
        let chain = Self.chain(bench)
        let disk = try Self.open(bench, chain)
        #expect(try disk.source.bytes(at: 0, count: 4096).allSatisfy { $0 == 0xAB })
        #expect(throws: AttachError.self) { try Self.open(bench, Self.chain(bench, base: "other")) }

        try bench.run(
            "qemu-img",
            ["rebase", "-u", "-f", "qcow2", "-b", "../_base/other", "-F", "raw", "mid"]
        )
        let error = #expect(throws: AttachError.self) { try Self.open(bench, chain) }
        #expect(error?.kind == .refused)
        #expect(try Self.open(bench, Self.chain(bench, base: "other")).layers.count == 3)

        try bench.run("qemu-img", ["rebase", "-u", "-f", "qcow2", "-b", "", "mid"])
        #expect(throws: AttachError.self) { try Self.open(bench, chain) }
    }

    @Test func `a link to the same file is the same layer`() throws {
        let bench = try Self.bench()
        try FileManager.default.linkItem(atPath: bench.base("base"), toPath: bench.base("linked"))
        #expect(try Self.open(bench, Self.chain(bench, base: "linked")).layers.count == 3)
        try FileManager.default.createSymbolicLink(
            atPath: bench.outside("soft"),
            withDestinationPath: bench.base("base")
        )
        #expect(
            try Self.open(bench, Self.chain(bench, base: "../../outside/soft")).layers.count == 3
        )
    }

    @Test func `a raw disk that begins like an image of QEMU's is read byte for byte`() throws {
        let bench = try Self.bench()
        try bench.write(
            Array("canary".utf8) + [UInt8](repeating: 0, count: 506),
            bench.base("secret")
        )
        try bench.create("disk", ["-f", "qcow2", "-b", bench.base("secret"), "-F", "raw"])
        let stated = PinnedChain(
            [PinnedLayer(path: bench.path("disk"), format: .raw)],
            isComplete: true
        )
        let disk = try Self.open(bench, stated)
        let bytes = try bench.read(bench.path("disk"))
        #expect(disk.warnings.isEmpty)
        #expect(try disk.source.bytes(at: 0, count: bytes.count) == bytes)
    }

    @Test func `what libvirt wrote of an instance leads to its disks, and to them alone`() throws {
        let bench = try AttachBench()
        let base = "8f3c0d1e5a7b9c2d4e6f8091a2b3c4d5e6f70819"
        for (index, name) in [base, "ephemeral_1_40d1d2c"].enumerated() {
            try bench.write([UInt8](repeating: UInt8(index), count: 1 << 16), bench.base(name))
        }
        try bench.create("disk", ["-f", "qcow2", "-b", "../_base/\(base)", "-F", "raw"])
        try bench.create(
            "disk.eph0",
            ["-f", "qcow2", "-b", bench.base("ephemeral_1_40d1d2c"), "-F", "raw"]
        )
        // A guest's own disk, which it made look like an overlay on another's.
        try bench.write(emptyImage(backing: bench.base(base)), bench.path("disk.swap"))
        try bench.write([UInt8](repeating: 4, count: 1 << 16), bench.path("disk.config"))
        let own = "/var/lib/nova/instances/\(DomainFixture.uuid)"
        let text = try DomainFixture.text("file").replacingOccurrences(
            of: own,
            with: bench.directory
        )
        .replacingOccurrences(of: "/var/lib/nova/instances/_base/", with: bench.base(""))
        let disks = DomainDisks(try DomainDescription(xml: text))
        let attached = try disks.readable.map { disk in
            try attach(disk.path, options: AttachOptions(chain: disk.chain, locking: .none))
        }
        #expect(attached.map(\.layers.count) == [2, 2, 1, 1])
        #expect(attached.map(\.format) == [.qcow2, .qcow2, .raw, .raw])
        #expect(
            try attached.map { try $0.source.bytes(at: 0, count: 1) } == [[0], [1], [0x51], [4]]
        )
        #expect(attached.flatMap(\.warnings).isEmpty)
    }

    @Test func `the survey before an approval follows the pinned chain, too`() throws {
        let bench = try Self.bench()
        func files(_ options: AttachOptions) -> Int {
            Set(LayerSurvey.files(of: bench.path("disk"), options).map(\.realPath)).count
        }
        #expect(files(AttachOptions(chain: Self.chain(bench))) == 3)
        #expect(files(AttachOptions(format: .qcow2)) == 3)
        let raw = PinnedLayer(path: bench.path("disk"), format: .raw)
        #expect(files(AttachOptions(chain: PinnedChain([raw], isComplete: true))) == 1)
        // Attaching is refused at the same place.
        #expect(files(AttachOptions(chain: Self.chain(bench, base: "other"))) == 2)
    }

    @Test func `an image that QEMU was given a description for is refused`() throws {
        let bench = try Self.bench()
        let name =
            #"json:{"driver":"raw","file":{"driver":"file","filename":""#
            + bench.base("base") + "\"}}"
        try bench.create("mid", ["-f", "qcow2", "-b", name, "-F", "raw"])
        let error = #expect(throws: AttachError.self) { try Self.open(bench, Self.chain(bench)) }
        #expect(error?.kind == .refused && error?.message.contains("JSON") == true)
    }

    @Test func `the identity of a chain outlives writes, and nothing else`() throws {
        let bench = try Self.bench()
        func identity() throws -> ChainIdentity {
            ChainIdentity(
                try attach(bench.path("disk"), options: .init(format: .qcow2, locking: .none))
            )
        }
        let before = try identity()
        #expect(before.layers.map(\.format) == [.qcow2, .qcow2, .raw])
        #expect(before.layers.map(\.virtualSize) == [1 << 20, 1 << 20, 1 << 20])
        #expect(before.layers[2].realPath.hasSuffix("/_base/base"))
        try bench.io("disk", ["write -P 7 0 65536"])
        #expect(try identity() == before)

        // Another file of the same name and content.
        let copy = try bench.read(bench.path("mid"))
        try bench.write(copy, bench.path("new"))
        #expect(unsafe rename(bench.path("new"), bench.path("mid")) == 0)
        let replaced = try identity()
        #expect(replaced != before)
        try bench.run("qemu-img", ["resize", "-q", "-f", "qcow2", "disk", "2M"])
        let resized = try identity()
        #expect(resized != replaced)
        try bench.run(
            "qemu-img",
            ["rebase", "-u", "-f", "qcow2", "-b", "../_base/other", "-F", "raw", "mid"]
        )
        #expect(try identity() != resized)
    }
}
