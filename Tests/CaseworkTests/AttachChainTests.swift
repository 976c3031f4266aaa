import Foundation
import Linux
import Synchronization
import Testing

@testable import Casework
@testable import DiskFormats

/// Files that exist in memory only, and a record of which were opened.
final class ImaginaryFiles: LayerFiles {
    struct File: LocatedFile {
        let path: String
        let realPath: String
        let status: FileStatus
    }

    struct Entry {
        var bytes: [UInt8] = []
        var kind = FileStatus.Kind.regular
        var inode: UInt64?
        var link: String?
    }

    var entries: [String: Entry] = [:]
    var directories: Set<String> = ["/srv/instances/1", "/srv/instances/_base"]
    private(set) var opened: [String] = []

    private func resolve(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        let whole = "/" + parts.joined(separator: "/")
        return entries[whole]?.link ?? whole
    }

    func locate(_ path: String) throws(AttachError) -> File {
        let real = resolve(path)
        guard let entry = entries[real] else { throw AttachError(.notFound, path, "missing") }
        let inode = entry.inode ?? UInt64(truncatingIfNeeded: real.hashValue)
        let status = FileStatus(
            kind: entry.kind,
            identity: .init(device: 1, inode: inode),
            size: UInt64(entry.bytes.count)
        )
        return File(path: path, realPath: real, status: status)
    }

    func open(_ file: File, layer: Int) throws(AttachError) -> OpenFile {
        opened.append(file.realPath)
        return OpenFile(
            path: file.path,
            realPath: file.realPath,
            status: file.status,
            source: MemorySource(entries[file.realPath]?.bytes ?? []),
            descriptor: nil,
            warnings: []
        )
    }

    func realPath(ofDirectory path: String) -> String? {
        directories.contains(resolve(path)) ? resolve(path) : nil
    }

    func content(of path: String) throws(AttachError) -> [UInt8]? { entries[resolve(path)]?.bytes }
}

/// The smallest qcow2 file that is whole: 64 KiB clusters, a disk of 64 KiB, nothing allocated.
func emptyImage(
    backing: String? = nil,
    format: String? = "raw",
    patch: [Int: UInt8] = [:]
) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 0x30000)
    func put<T: FixedWidthInteger>(_ value: T, _ offset: Int) {
        for index in 0..<(T.bitWidth / 8) {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (T.bitWidth - 8 - 8 * index))
        }
    }
    put(0x5146_49FB as UInt32, 0)
    put(3 as UInt32, 4)
    put(16 as UInt32, 20)
    put(65536 as UInt64, 24)
    put(1 as UInt32, 36)
    put(0x10000 as UInt64, 40)
    put(0x20000 as UInt64, 48)
    put(1 as UInt32, 56)
    put(4 as UInt32, 96)
    put(104 as UInt32, 100)
    if let backing {
        if let format {
            put(0xE279_2ACA as UInt32, 104)
            put(UInt32(format.utf8.count), 108)
            bytes.replaceSubrange(112..<(112 + format.utf8.count), with: format.utf8)
        }
        put(0x200 as UInt64, 8)
        put(UInt32(backing.utf8.count), 16)
        bytes.replaceSubrange(0x200..<(0x200 + backing.utf8.count), with: backing.utf8)
    }
    for (offset, value) in patch { bytes[offset] = value }
    return bytes
}

@Suite struct AttachChainTests {
    static let image = "/srv/instances/1/disk"
    static let canary = "/etc/canary"

    /// Files with the given image, a good base, and something that must not be opened.
    static func files(_ disk: [UInt8]) -> ImaginaryFiles {
        let files = ImaginaryFiles()
        files.entries[image] = .init(bytes: disk)
        files.entries["/srv/instances/_base/base"] = .init(bytes: [1, 2, 3])
        for secret in [
            canary, "/srv/instances/2/disk", "/srv/instances/1/deep/file",
            "/srv/instances/_basement/x",
            "/srv/instances/_base/deep/file", "/srv/secret",
        ] {
            files.entries[secret] = .init(bytes: Array("canary".utf8))
        }
        return files
    }

    static func open(
        _ files: ImaginaryFiles,
        _ options: AttachOptions = AttachOptions(format: .qcow2)
    ) throws(AttachError) -> AttachedDisk {
        var warnings: [String] = []
        return try attach(image, options: options, files: files, warnings: &warnings)
    }

    @Test(arguments: [
        "json:{\"file.filename\":\"/etc/canary\"}", "json:", "nbd://192.0.2.1/x", "nbd:unix:/run/s",
        "file:/etc/canary", "file:base", "fat:rw:/etc", "host_device:/dev/vda", "a:b", ":",
        "https://example.com/x", "ssh://example.com/x", "rbd:pool/x", "data:x/y",
        "/etc/canary", "../../../etc/canary", "../2/disk", "deep/file", "../_basement/x",
        "../_base/deep/file", "../_base/../../secret", "/srv/instances/1/../../../etc/canary",
        "link", "../_base/link", "new\nline", "tab\t", "\u{7F}",
    ])
    func `a backing name that leads elsewhere is refused and nothing is opened`(_ name: String) {
        let files = Self.files(emptyImage(backing: name))
        files.entries["/srv/instances/1/link"] = .init(link: Self.canary)
        files.entries["/srv/instances/_base/link"] = .init(link: Self.canary)
        let error = #expect(throws: AttachError.self) { try Self.open(files) }
        #expect(error?.kind == .refused && error?.exitCode == 3, "\(String(describing: error))")
        #expect(files.opened == [Self.image])
    }

    @Test(arguments: ["vmdk", "qcow", "", "raw\0", "RAW", "luks", "host_device", "json:raw"])
    func `a backing format that is not read here is refused`(_ format: String) {
        let files = Self.files(emptyImage(backing: "../_base/base", format: format))
        let error = #expect(throws: AttachError.self) { try Self.open(files) }
        #expect(error?.kind == .refused)
        #expect(files.opened == [Self.image])
    }

    @Test func `a backing file without a recorded format is refused`() {
        let files = Self.files(emptyImage(backing: "../_base/base", format: nil))
        let error = #expect(throws: AttachError.self) { try Self.open(files) }
        #expect(error?.kind == .refused && error?.message.contains("no format is recorded") == true)
        #expect(files.opened == [Self.image])
    }

    @Test(arguments: [
        "../_base/base", "/srv/instances/_base/base", "base", "./base", "/srv/instances/1/base",
    ])
    func `a backing file in the usual places is opened`(_ name: String) throws {
        let files = Self.files(emptyImage(backing: name))
        files.entries["/srv/instances/1/base"] = .init(bytes: [1, 2, 3])
        let disk = try Self.open(files)
        #expect(disk.layers.map(\.format) == [.qcow2, .raw])
        #expect(try disk.source.bytes(at: 0, count: 5) == [1, 2, 3, 0, 0])
    }

    @Test func `an allowed directory is allowed with all below it and nothing beside it`() throws {
        let options = AttachOptions(
            format: .qcow2,
            allowedBackingDirectories: ["/pool/a", "/none"]
        )
        for (name, allowed) in [("/pool/a/x", true), ("/pool/a/b/x", true), ("/pool/ab/x", false)] {
            let files = Self.files(emptyImage(backing: name))
            files.directories = ["/pool/a"]
            files.entries[name] = .init(bytes: [7])
            let disk = try? Self.open(files, options)
            #expect((disk != nil) == allowed, "\(name)")
        }
    }

    @Test(arguments: [
        FileStatus.Kind.fifo, .socket, .characterDevice, .blockDevice, .directory,
    ])
    func `what is no regular file is refused unopened, as image and as base`(
        _ kind: FileStatus.Kind
    ) {
        let files = Self.files(emptyImage(backing: "../_base/base"))
        files.entries["/srv/instances/_base/base"]?.kind = kind
        #expect(throws: AttachError.self) { try Self.open(files) }
        #expect(files.opened == [Self.image])
        files.entries[Self.image]?.kind = kind
        let error = #expect(throws: AttachError.self) { try Self.open(files) }
        #expect(error?.kind == .refused && error?.message.contains(kind.rawValue) == true)
        #expect(files.opened == [Self.image])
    }

    @Test func `loops are refused, by whatever names they come`() {
        let itself = Self.files(emptyImage(backing: "disk", format: "qcow2"))
        #expect(throws: AttachError.self) { try Self.open(itself) }
        #expect(itself.opened == [Self.image])

        let hardLinked = Self.files(emptyImage(backing: "other", format: "raw"))
        hardLinked.entries[Self.image]?.inode = 5
        hardLinked.entries["/srv/instances/1/other"] = .init(bytes: [1], inode: 5)
        let error = #expect(throws: AttachError.self) { try Self.open(hardLinked) }
        #expect(error?.message.contains("loop") == true)

        let pair = Self.files(emptyImage(backing: "two", format: "qcow2"))
        pair.entries["/srv/instances/1/two"] = .init(
            bytes: emptyImage(backing: "disk", format: "qcow2")
        )
        #expect(throws: AttachError.self) { try Self.open(pair) }
        #expect(pair.opened.count == 2)
    }

    @Test(arguments: [15, 16, 17, 40])
    func `sixteen layers are read and more are refused`(_ depth: Int) {
        let files = Self.files(emptyImage(backing: "l1", format: "qcow2"))
        for layer in 1..<depth {
            let last = layer == depth - 1
            files.entries["/srv/instances/1/l\(layer)"] = .init(
                bytes: last ? emptyImage() : emptyImage(backing: "l\(layer + 1)", format: "qcow2")
            )
        }
        let disk = try? Self.open(files)
        #expect(disk?.layers.count == (depth <= 16 ? depth : nil))
        #expect(files.opened.count <= 16)
    }

    @Test func `a raw base on which a guest wrote a qcow2 header stays raw`() throws {
        let files = Self.files(emptyImage(backing: "../_base/base", format: "raw"))
        let trap = emptyImage(backing: Self.canary)
        files.entries["/srv/instances/_base/base"] = .init(bytes: trap)
        let disk = try Self.open(files)
        #expect(disk.layers.map(\.format) == [.qcow2, .raw])
        #expect(try disk.source.bytes(at: 0, count: 65536) == Array(trap[..<65536]))
    }

    @Test func `a missing base is not found`() {
        let files = Self.files(emptyImage(backing: "gone"))
        let error = #expect(throws: AttachError.self) { try Self.open(files) }
        #expect(error?.kind == .notFound && error?.exitCode == 4)
    }

    // MARK: - The format of the image itself

    @Test func `the format comes from the caller, then from disk.info, then from the header`()
        throws
    {
        let trap = emptyImage(backing: Self.canary)
        let files = Self.files(trap)
        let info = "/srv/instances/1/disk.info"
        #expect(throws: AttachError.self) { try Self.open(files, AttachOptions()) }
        #expect(try Self.open(files, AttachOptions(format: .raw)).format == .raw)
        files.entries[info] = .init(bytes: Array("{\"\(Self.image)\": \"raw\"}".utf8))
        #expect(try Self.open(files, AttachOptions()).format == .raw)
        files.entries[info] = .init(
            bytes: Array(#" {"/elsewhere/disk":"raw" , "/x/y":"qcow2"} "#.utf8)
        )
        #expect(try Self.open(files, AttachOptions()).format == .raw)
        files.entries[info] = .init(bytes: Array("{\"disk.local\": \"raw\"}".utf8))
        #expect(throws: AttachError.self) { try Self.open(files, AttachOptions()) }

        let loose = Self.files(emptyImage())
        let disk = try Self.open(loose, AttachOptions())
        #expect(disk.format == .qcow2 && disk.warnings.count == 1)
    }

    @Test(arguments: [
        "", "{", "[]", "null", "{}x", "{\"a\":1}", "{\"a\":\"raw\",}",
        "{\"a\":\"raw\" \"b\":\"raw\"}",
        "{\"a\":\"raw\",\"a\":\"qcow2\"}", "{'a':'raw'}", "{\"a\":{\"b\":\"raw\"}}",
        "{\"a\\u00\":\"raw\"}",
        "{\"a\\ud800\":\"raw\"}", "{\"a\\n\":\"raw\"}", "\u{FEFF}{}", "{\"disk\":\"vmdk\"}",
        "{\"x/disk\":\"raw\",\"y/disk\":\"qcow2\"}",
    ])
    func `a disk.info that is malformed or undecided is refused`(_ text: String) {
        let files = Self.files(emptyImage())
        files.entries["/srv/instances/1/disk.info"] = .init(bytes: Array(text.utf8))
        let error = #expect(throws: AttachError.self) { try Self.open(files, AttachOptions()) }
        #expect(error?.kind == .refused)
    }

    @Test func `escapes in disk.info are those of JSON`() throws {
        let info = try DiskInfo(Array(#"{"/a\u0062\/\"\\\ud83d\ude00":"ra\u0077"}"#.utf8))
        #expect(info.formats(of: "/ab/\"\\😀") == ["raw"])
    }

    @Test(arguments: [
        (0, "QED\0"), (0, "KDMV"), (0, "COWD"), (0, "# Disk DescriptorFile\n"), (0, "vhdxfile"),
        (0, "conectix"), (0, "WithoutFreeSpace"), (64, "\u{7F}\u{10}\u{DA}\u{BE}"),
        (0, "LUKS\u{BA}\u{BE}"), (0, "QFI\u{FB}"), (0, "QFI\u{FB}\0\0\0\u{1}"),
    ])
    func `a loose file that begins like another format is refused`(_ offset: Int, _ magic: String)
        throws
    {
        var bytes = [UInt8](repeating: 0, count: 4096)
        for (index, scalar) in magic.unicodeScalars.enumerated() {
            bytes[offset + index] = UInt8(scalar.value)
        }
        let files = Self.files(bytes)
        let error = #expect(throws: AttachError.self) { try Self.open(files, AttachOptions()) }
        #expect(error?.exitCode == 3 || error?.exitCode == 5)
        #expect(try Self.open(files, AttachOptions(format: .raw)).format == .raw)
    }

    @Test func `a loose file with a damaged qcow2 header is refused, not guessed`() {
        for patch in [[4: UInt8(9)], [23: 3], [39: 0], [47: 1]] {
            let files = Self.files(emptyImage(patch: patch))
            let error = #expect(throws: AttachError.self) { try Self.open(files, AttachOptions()) }
            #expect(error.map { $0.kind != .usage } == true)
        }
    }
}
