import Custody
import Testing

@testable import Casework

@Suite struct DomainDescriptionTests {
    private static let instances = "/var/lib/nova/instances"

    @Test func `a running instance on files is read whole`() throws {
        let domain = try DomainFixture.description("file")
        #expect(domain.uuid == DomainFixture.uuid)
        #expect(domain.name == "instance-0000002a" && domain.id == 1 && domain.type == "qemu")
        #expect(domain.emulator == "/usr/bin/qemu-system-x86_64")
        #expect(domain.run == DomainRun(uuid: DomainFixture.uuid, id: 1))
        #expect(domain.owner?.userID == 64055 && domain.owner?.groupID == 64055)
        #expect(!domain.isNovaRescue)
        let nova = try #require(domain.nova)
        #expect(nova.version == 1 && nova.instanceName == "web & <shop> \"1\" é 日本")
        #expect(nova.creationTime == "2026-03-04 09:02:53" && nova.flavor == "m1.small")
        #expect(nova.user?.id == "3d2f5c1e8a7b4c6d9e0f1a2b3c4d5e6f" && nova.user?.name == "alex")
        #expect(nova.project?.id == "9a8b7c6d5e4f30211203f4e5d6c7b8a9")
        #expect(nova.project?.name == "shop")
        #expect(nova.rootImage == "c0ffee00-1234-4abc-8def-0123456789ab")

        #expect(domain.disks.map(\.target) == ["vda", "vdb", "vdc", "hda"])
        #expect(domain.disks.map(\.bus) == ["virtio", "virtio", "virtio", "ide"])
        #expect(domain.disks.map(\.device) == [.disk, .disk, .disk, .cdrom])
        #expect(domain.disks.map(\.isReadOnly) == [false, false, false, true])
        #expect(domain.disks.map(\.isChainComplete) == [true, true, true, true])
        let own = "\(Self.instances)/\(domain.uuid)"
        let root = domain.disks[0].layers
        #expect(root.map(\.format) == ["qcow2", "raw"])
        #expect(root[0].source == .file(path: "\(own)/disk"))
        #expect(root[1].location?.hasPrefix("\(Self.instances)/_base/8f3c") == true)
        #expect(domain.disks[3].layers.map(\.source) == [.file(path: "\(own)/disk.config")])
    }

    @Test func `a transient disk, a copy in progress and an empty drive are told`() throws {
        let disks = try DomainFixture.description("transient").disks
        #expect(disks.map(\.isTransient) == [true, false, false])
        #expect(disks[0].layers.map(\.format) == ["qcow2", "qcow2", "raw"])
        #expect(disks[0].layers[0].location?.hasSuffix("/disk.TRANSIENT-compute-1") == true)
        #expect(disks[0].mirror == nil)
        #expect(disks[1].mirror == .init(job: "copy", ready: "yes"))
        // The copy's own chain does not count as the disk's.
        #expect(disks[1].layers.count == 2)
        #expect(disks[2].layers.isEmpty && disks[2].device == .cdrom)
    }

    @Test func `every kind of source is told, and a chain that is not stated is unknown`() throws {
        let domain = try DomainFixture.description("volumes")
        #expect(domain.run == nil && domain.nova?.version == 0 && domain.nova?.rootImage == nil)
        #expect(domain.owner == nil)
        let disks = domain.disks
        #expect(
            disks.map { $0.layers[0].source } == [
                .network(protocol: "rbd", name: "vms/1b4e28ba-2fa1-41d2-883f-0016d3cca427_disk"),
                .block(
                    path: "/dev/disk/by-path/ip-192.0.2.21:3260-iscsi-iqn.2010-10.org.openstack:"
                        + "volume-0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9-lun-1"
                ),
                .volume(pool: "images", volume: "one"),
                .file(path: "/srv/luks.qcow2"),
                .nvme,
                .directory(path: "/srv/tools"),
            ]
        )
        #expect(disks.map(\.isChainComplete) == [false, false, false, true, false, false])
        #expect(disks.map(\.isShareable) == [false, true, false, false, false, false])
        #expect(disks[3].layers.map(\.features) == [[.encryption], [], []])
        #expect(disks[3].layers[2].source == .block(path: "/dev/vg/base"))
        #expect(disks[5].device == .floppy)
    }

    @Test func `a rescue is told by its disk or its kernel`() throws {
        let rescue = try DomainFixture.description("rescue")
        #expect(rescue.isNovaRescue && rescue.owner == nil)
        let own = "/srv/\(DomainFixture.uuid)"
        for (path, isRescue) in [
            ("\(own)/disk.rescue", true), ("\(own)_disk.rescue", true), ("\(own)/disk", false),
            ("\(own)/disk.rescue/disk", false), ("\(own)/disk.rescue.bak", false),
            ("\(own)/mydisk.rescue", false),
        ] {
            let domain = try DomainFixture.domain(DomainFixture.disk(path))
            #expect(domain.isNovaRescue == isRescue, "\(path)")
        }
        let kernel = "<os><kernel>\(own)/kernel.rescue</kernel></os>"
        #expect(try DomainDescription(xml: DomainFixture.xml(also: kernel)).isNovaRescue)
        let rbd = """
            <disk type='network'><source protocol='rbd' name='vms/x_disk.rescue'/>\
            <target dev='vda'/></disk>
            """
        #expect(try DomainFixture.domain(rbd).isNovaRescue)
    }

    @Test func `the owner is a pair of numbers or not told`() {
        #expect(DomainDescription.Owner(label: "+64055:+108")?.groupID == 108)
        #expect(DomainDescription.Owner(label: "0:0")?.userID == 0)
        for label in [
            "", ":", "+1", "+1:", "root:root", "++1:+1", "-0:0", "+1:+1:+1", "+4294967295:+1",
            "+4294967296:+1", "+1: +1", "+-0:0",
        ] {
            #expect(DomainDescription.Owner(label: label) == nil, "\(label)")
        }
    }

    @Test func `the newest of Nova's notes counts, whatever its prefix`() throws {
        func note(_ version: String, _ name: String) -> String {
            "<n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/\(version)'>"
                + "<n:name>\(name)</n:name><name>none</name></n:instance>"
        }
        func read(_ metadata: String) throws(GloveboxError) -> NovaMetadata? {
            try DomainDescription(xml: DomainFixture.xml(metadata: metadata)).nova
        }
        #expect(try read(note("1.0", "old") + note("1.1", "new"))?.instanceName == "new")
        #expect(try read(note("1.10", "new") + note("1.9", "old"))?.instanceName == "new")
        #expect(
            try read(note("2.0", "x") + note("1.x", "x") + note("1.", "x") + note("1.+1", "x"))
                == nil
        )
        #expect(try read("<instance><name>x</name></instance>") == nil)
        #expect(throws: GloveboxError.self) { try read(note("1.1", "a") + note("1.01", "b")) }
        #expect(throws: GloveboxError.self) {
            try read(note("1.1", String(repeating: "x", count: 4097)))
        }
        // Nova bounds names by characters, and a user fills them.
        let long = String(repeating: "😀", count: 255) + "\u{202E}&#10;\u{1B}".dropLast()
        #expect(try read(note("1.1", long))?.instanceName?.unicodeScalars.last == "\n")
    }

    @Test func `a root that is no image, or has no uuid, is none`() throws {
        let uuid = "C0FFEE00-1234-4abc-8def-0123456789ab"
        for (root, expected) in [
            ("type='image' uuid='\(uuid)'", uuid.lowercased()), ("type='image' uuid=''", nil),
            ("type='image'", nil), ("type='volume' uuid='\(uuid)'", nil),
            ("type='image' uuid='None'", nil),
        ] {
            let metadata = """
                <instance xmlns='http://openstack.org/xmlns/libvirt/nova/1.1'>
                <root \(root)/></instance>
                """
            let domain = try DomainDescription(xml: DomainFixture.xml(metadata: metadata))
            #expect(domain.nova?.rootImage == expected && domain.nova?.user == nil)
        }
    }

    @Test(arguments: [
        "", "x", "<domain/>", "<a type='kvm'/>", "<!DOCTYPE domain><domain/>",
        "<domain xmlns='urn:x' type='kvm'><name>a</name>"
            + "<uuid>4f1c2a9e-6b0d-4e0f-9c55-0d8f6b1a7e21</uuid></domain>",
        "<domain type='kvm'><name>a</name><uuid>4f1c2a9e</uuid></domain>",
        "<domain type='kvm'><uuid>4f1c2a9e-6b0d-4e0f-9c55-0d8f6b1a7e21</uuid></domain>",
        "<domain><name>a</name><uuid>4f1c2a9e-6b0d-4e0f-9c55-0d8f6b1a7e21</uuid></domain>",
        DomainFixture.xml(also: "<uuid>4f1c2a9e-6b0d-4e0f-9c55-0d8f6b1a7e22</uuid>"),
        DomainFixture.xml(also: "<devices/>"), DomainFixture.xml(also: "<metadata/>"),
        DomainFixture.xml(id: "id='0'"), DomainFixture.xml(id: "id='-1'"),
        DomainFixture.xml(id: "id='2147483648'"), DomainFixture.xml(id: "id='+1'"),
        DomainFixture.xml(id: "id=''"),
    ])
    func `what is no domain, or no single one, is refused`(text: String) {
        let error = #expect(throws: GloveboxError.self) { try DomainDescription(xml: text) }
        #expect(error?.kind == .unreadable && error?.advice.isEmpty == false)
    }

    @Test(arguments: [
        "<disk type='file'><source file='/a'/></disk>",
        DomainFixture.disk(dev: ""), DomainFixture.disk(dev: "vd a"),
        DomainFixture.disk(dev: "../vda"), DomainFixture.disk(dev: "vda&#10;"),
        DomainFixture.disk(dev: "vda:p1"), DomainFixture.disk(dev: "vd\u{E4}"),
        DomainFixture.disk(dev: String(repeating: "a", count: 33)),
        DomainFixture.disk("/a") + DomainFixture.disk("/b"),
        DomainFixture.disk(also: "<source file='/b'/>"),
        DomainFixture.disk(also: "<driver name='qemu' type='qcow2'/>"),
        DomainFixture.disk(also: "<backingStore/><backingStore/>"),
        DomainFixture.disk(also: "<target dev='vdb'/>"),
        DomainFixture.disk(also: "<backingStore><source file='/b'/></backingStore>"),
        DomainFixture.disk(also: "<backingStore type='file'><format type='raw'/></backingStore>"),
        "<disk device='disk'><source file='/a'/><target dev='vda'/></disk>",
        "<disk type='file' device='tape'><source file='/a'/><target dev='vda'/></disk>",
        "<disk type='network'><source name='x'/><target dev='vda'/></disk>",
    ])
    func `a disk that says two things, or too little, is refused`(disks: String) {
        let error = #expect(throws: GloveboxError.self) { try DomainFixture.domain(disks) }
        #expect(error?.kind == .unreadable)
    }

    @Test(arguments: [(1, true), (16, true), (17, false), (60, false)])
    func `sixteen layers are read and more are refused`(count: Int, fits: Bool) {
        var chain = "<backingStore/>"
        for layer in 1..<max(count, 1) {
            chain = """
                <backingStore type='file'><format type='qcow2'/><source file='/l\(layer)'/>\
                \(chain)</backingStore>
                """
        }
        let domain = try? DomainFixture.domain(DomainFixture.disk(also: chain))
        #expect(domain?.disks[0].layers.count == (fits ? count : nil))
    }

    @Test func `sixty-four disks are read and more are refused`() {
        func disks(_ count: Int) -> String {
            (0..<count).map { DomainFixture.disk("/srv/\($0)", dev: "vd\($0)") }.joined()
        }
        #expect((try? DomainFixture.domain(disks(64)))?.disks.count == 64)
        #expect(throws: GloveboxError.self) { try DomainFixture.domain(disks(65)) }
    }

    @Test func `every truncation throws and none traps`() throws {
        let text = Array(try DomainFixture.text("rescue").utf8)
        let end = try #require(text.lastIndex(of: UInt8(ascii: ">")))
        for count in 0...end {
            #expect(throws: GloveboxError.self) {
                try DomainDescription(xml: String(decoding: text[..<count], as: UTF8.self))
            }
        }
    }

    @Test func `without any one of its lines it throws or reads, and none traps`() throws {
        for name in ["file", "transient", "volumes", "rbd", "boot-from-volume"] {
            let lines = try DomainFixture.text(name).split(separator: "\n")
            for index in lines.indices {
                var fewer = lines
                fewer.remove(at: index)
                _ = try? DomainDescription(xml: fewer.joined(separator: "\n"))
            }
        }
    }
}
