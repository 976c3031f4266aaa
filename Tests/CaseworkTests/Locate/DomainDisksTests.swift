import Linux
import Testing

@testable import Casework

@Suite struct DomainDisksTests {
    private static func disks(_ xml: String) throws -> DomainDisks {
        DomainDisks(try DomainFixture.domain(xml))
    }

    @Test func `disks in files are read by the files and formats that are stated`() throws {
        let domain = try DomainFixture.description("file")
        let disks = DomainDisks(domain)
        #expect(disks.refused.isEmpty)
        #expect(disks.readable.map(\.name) == ["disk", "disk.eph0", "disk.swap", "disk.config"])
        #expect(disks.readable.map(\.target) == ["vda", "vdb", "vdc", "hda"])
        let own = "/var/lib/nova/instances/\(domain.uuid)"
        #expect(disks.readable[0].path == "\(own)/disk")
        let base = "/var/lib/nova/instances/_base/8f3c0d1e5a7b9c2d4e6f8091a2b3c4d5e6f70819"
        let expected = PinnedChain(
            [.init(path: "\(own)/disk", format: .qcow2), .init(path: base, format: .raw)],
            isComplete: true
        )
        #expect(disks.readable[0].chain == expected)
        #expect(disks.readable.flatMap(\.caveats).isEmpty)
    }

    @Test func `what is not read here is refused by name, with what to do instead`() throws {
        for (name, reasons) in [
            ("rbd", ["network", "network"]), ("boot-from-volume", ["block", "block"]),
            ("volumes", ["network", "block", "volume", "encryption", "source", "source"]),
            ("transient", ["mirror", "empty"]), ("rescue", []),
        ] {
            let disks = DomainDisks(try DomainFixture.description(name))
            #expect(disks.refused.map(\.reason.rawValue) == reasons, "\(name)")
            for refused in disks.refused {
                #expect(refused.message.hasPrefix(refused.target) && !refused.advice.isEmpty)
                #expect(refused.error.kind == .refused)
            }
        }
        let ceph = DomainDisks(try DomainFixture.description("rbd")).refused[0]
        #expect(
            ceph.advice.contains("rbd snap create vms/2f0a6c3e-91d4-4b6a-a5f1-6c1d7e8f9a0b_disk@")
        )
    }

    @Test func `a name that a shell could act on is not put into a command`() throws {
        for name in ["a;reboot", "-x", "a b", "$(x)", "a`x`", "a&#10;b"] {
            let disks = try Self.disks(
                "<disk type='network'><source protocol='rbd' name='\(name)'/>"
                    + "<target dev='vda'/></disk>"
            )
            #expect(disks.refused.first?.advice.contains("rbd export POOL/IMAGE@") == true)
            #expect(disks.refused.first?.message.contains("\n") == false)
        }
    }

    @Test(arguments: [
        (DomainFixture.disk(format: "type='vmdk'"), DomainDisks.Reason.format),
        (DomainFixture.disk(format: ""), .format),
        (DomainFixture.disk(format: "type='RAW'"), .format),
        (DomainFixture.disk("disk"), .source), (DomainFixture.disk("json:{}"), .source),
        (DomainFixture.disk(""), .source),
        (DomainFixture.disk(source: "<slices><slice type='storage'/></slices>"), .feature),
        (DomainFixture.disk(source: "<dataStore type='file'/>"), .feature),
        (DomainFixture.disk("/a' fdgroup='x"), .feature),
        (DomainFixture.disk(source: "<encryption format='luks'/>"), .encryption),
        (DomainFixture.disk(also: "<encryption format='luks'/>"), .encryption),
        (DomainFixture.disk(also: "<mirror type='file' job='copy'/>"), .mirror),
        (
            DomainFixture.disk(also: "<mirror type='file' job='active-commit' ready='yes'/>"),
            .mirror
        ),
        ("<disk type='block'><target dev='vda'/></disk>", .empty),
        (
            "<disk type='vhostuser'><source type='unix' path='/s'/><target dev='vda'/></disk>",
            .source
        ),
        ("<disk type='vhostvdpa'><source dev='/dev/x'/><target dev='vda'/></disk>", .source),
        ("<disk type='nvme'><target dev='vda'/></disk>", .source),
    ])
    func `each trait that changes what the bytes mean is a reason`(
        disk: String,
        reason: DomainDisks.Reason
    ) throws {
        let disks = try Self.disks(disk)
        #expect(disks.readable.isEmpty && disks.refused.map(\.reason) == [reason])
    }

    @Test(arguments: [
        ("type='block'><format type='raw'/><source dev='/dev/x'/>", DomainDisks.Reason.block),
        ("type='network'><format type='raw'/><source protocol='nbd'/>", .network),
        ("type='file'><format type='vdi'/><source file='/b'/>", .format),
        ("type='file'><source file='/b'/>", .format),
        ("type='file'><format type='raw'/><source file='/b'><encryption/></source>", .encryption),
        ("type='file'><format type='raw'/><source file='/b' fdgroup='x'/>", .feature),
    ])
    func `a layer below that is not read here refuses the disk`(
        layer: String,
        reason: DomainDisks.Reason
    ) throws {
        let chain = "<backingStore \(layer)<backingStore/></backingStore>"
        let disks = try Self.disks(DomainFixture.disk(format: "type='qcow2'", also: chain))
        #expect(disks.refused.map(\.reason) == [reason])
        #expect(disks.refused.first?.message.hasPrefix("Layer 1 of vda ") == true)
    }

    @Test func `a disk is called by its file, and by its device where another could be meant`()
        throws
    {
        func names(_ files: [(String, String)]) throws -> [String] {
            let xml = files.map { DomainFixture.disk($0.1, dev: $0.0) }.joined()
            return try Self.disks(xml).readable.map(\.name)
        }
        #expect(try names([("vda", "/a/disk"), ("vdb", "/a/disk.swap")]) == ["disk", "disk.swap"])
        #expect(
            try names([("vda", "/a/disk"), ("vdb", "/m/1/volume"), ("vdc", "/m/2/volume")])
                == ["disk", "vdb", "vdc"]
        )
        #expect(try names([("vda", "/a/vdb"), ("vdb", "/a/vdb")]) == ["vda", "vdb"])
        #expect(try names([("vda", "/a/vdb"), ("vdb", "/a/x")]) == ["vda", "x"])
        #expect(try names([("vda", "/a/vda"), ("vdb", "/a/")]) == ["vda", "vdb"])
        // A refused disk has a file of that name, too.
        let mixed = try Self.disks(
            DomainFixture.disk("/a/x") + DomainFixture.disk("/b/x", dev: "vdb", format: "")
        )
        #expect(mixed.readable.map(\.name) == ["vda"])
    }

    @Test func `a path is carried as paths of the host are, whatever characters it has`() throws {
        for path in ["/srv/\u{10FE80}\u{10FEFF}/disk", "/srv/e\u{301}", "/srv/a b&amp;&quot;&#10;"]
        {
            let disks = try Self.disks(DomainFixture.disk(path))
            let text = path.replacing("&amp;&quot;&#10;", with: "&\"\n")
            let found = try #require(disks.readable.first)
            #expect(CommandLineBytes.decode(found.path) == Array(text.utf8))
            #expect(found.chain.layers[0].path.utf8.elementsEqual(found.path.utf8))
        }
    }

    @Test func `a shareable and a transient disk are read with a caveat`() throws {
        let shared = try Self.disks(DomainFixture.disk(also: "<backingStore/><shareable/>"))
        #expect(shared.readable.first?.caveats.first?.contains("shareable") == true)
        let transient = DomainDisks(try DomainFixture.description("transient"))
        #expect(transient.readable.first?.caveats.first?.contains("transient") == true)
        #expect(transient.readable.first?.chain.layers.count == 3)
    }

    @Test func `a chain that is not stated to its end is pinned as far as it is`() throws {
        let offline = try Self.disks(DomainFixture.disk(format: "type='qcow2'", also: ""))
        #expect(offline.readable.first?.chain.isComplete == false)
        #expect(offline.readable.first?.chain.layers.count == 1)
        let live = try Self.disks(DomainFixture.disk(format: "type='qcow2'"))
        #expect(live.readable.first?.chain.isComplete == true)
    }
}
