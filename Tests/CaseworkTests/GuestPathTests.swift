import Linux
import Testing

@testable import Casework

@Suite struct GuestPathTests {
    private let disks = ["disk", "disk.local", "odd:name.qcow2"]

    @Test(arguments: [
        ("/etc/fstab", nil, "/etc/fstab"),
        ("disk:p1:/etc/fstab", "disk:p1", "/etc/fstab"),
        ("disk.local::/note", "disk.local:", "/note"),
        ("disk:vg/root:/etc", "disk:vg/root", "/etc"),
        ("disk:p1", "disk:p1", "/"),
        ("disk:p1:", "disk:p1", "/"),
        ("odd:name.qcow2:p2:/a:/b", "odd:name.qcow2:p2", "/a:/b"),
    ])
    func `a path names its volume and the place on it`(
        argument: String,
        volume: String?,
        path: String
    ) throws {
        let parsed = try GuestPath(argument, disks: disks)
        #expect(parsed.volume?.description == volume)
        #expect(parsed.path == [UInt8](path.utf8))
    }

    @Test func `a path without a known disk is a usage error that names the disks`() {
        let error = #expect(throws: GloveboxError.self) {
            try GuestPath("etc/fstab", disks: disks)
        }
        #expect(error?.kind == .usage)
        #expect(error?.advice.contains("disk.local") == true)
    }

    @Test(arguments: [
        [UInt8]("plain".utf8), [0x2F, 0xFF, 0xC3, 0x28, 0x41], [0xF4, 0x8F, 0xB8, 0x81, 0x2F],
        [UInt8]("ümläut 🧤".utf8), [0x80], [0xE2, 0x82],
    ])
    func `bytes survive being carried in a string`(bytes: [UInt8]) {
        #expect(CommandLineBytes.decode(CommandLineBytes.encode(bytes)) == bytes)
    }

    @Test func `no string carries a slash, a NUL or other ASCII in disguise`() {
        for value in (0x10_FE00 as UInt32)...0x10_FEFF {
            let text = Unicode.Scalar(value).map { String($0) } ?? ""
            let bytes = CommandLineBytes.decode(text)
            #expect(!bytes.isEmpty && bytes.allSatisfy { $0 >= 0x80 })
        }
    }
}

@Suite struct FstabTests {
    @Test func `fields, comments and octal escapes are read as fstab(5) says`() {
        let text = """
            # a comment
            UUID="0a1b"  /            ext4 defaults 0 1
            LABEL=data\t/srv/with\\040space\text4\tnoatime 0 2
            tmpfs /tmp tmpfs defaults 0 0
            UUID=9 none swap sw 0 0
            broken line
            """
        let entries = Fstab.parse([UInt8](text.utf8))
        let lines = entries.map {
            "\(String(decoding: $0.device, as: UTF8.self)) "
                + String(decoding: GuestPath.joined($0.mountPoint), as: UTF8.self)
        }
        #expect(lines == ["UUID=0a1b /", "LABEL=data /srv/with space", "tmpfs /tmp"])
    }
}
