import Foundation
import Glibc
import Linux
import Testing

@testable import Casework
@testable import DiskFormats

/// What only real files can show: links, special files, failing and shrinking ones.
@Suite struct AttachFileTests {
    static func image(_ backing: String? = "../_base/base") throws -> AttachBench {
        let bench = try AttachBench()
        try bench.write(emptyImage(backing: backing), bench.path("disk"))
        try bench.write([UInt8](repeating: 7, count: 65536), bench.base("base"))
        try bench.write(Array("canary".utf8), bench.outside("canary"))
        return bench
    }

    static func open(_ bench: AttachBench) throws(AttachError) -> AttachedDisk {
        try attach(bench.path("disk"), options: AttachOptions(format: .qcow2))
    }

    @Test func `a symbolic link to the outside is refused by where it leads`() throws {
        let bench = try Self.image("base")
        try FileManager.default.createSymbolicLink(
            atPath: bench.path("base"),
            withDestinationPath: bench.outside("canary")
        )
        let error = #expect(throws: AttachError.self) { try Self.open(bench) }
        #expect(error?.kind == .refused)
        let options = AttachOptions(
            format: .qcow2,
            allowedBackingDirectories: [bench.outside("")]
        )
        let disk = try attach(bench.path("disk"), options: options)
        #expect(try disk.source.bytes(at: 0, count: 7) == Array("canary\0".utf8))
    }

    @Test func `a linked _base is the place that it leads to`() throws {
        let bench = try Self.image()
        let base = bench.directory + "/../_base"
        try FileManager.default.moveItem(atPath: base, toPath: bench.outside("images"))
        try FileManager.default.createSymbolicLink(
            atPath: base,
            withDestinationPath: bench.outside("images")
        )
        #expect(try Self.open(bench).layers.count == 2)
    }

    @Test func `a FIFO, a socket, a device and a directory are refused without waiting`() throws {
        for kind in [S_IFIFO, S_IFSOCK, S_IFDIR] {
            let bench = try Self.image("special")
            let path = bench.path("special")
            if kind == S_IFDIR {
                try FileManager.default.createDirectory(
                    atPath: path,
                    withIntermediateDirectories: false
                )
            } else {
                let made = unsafe mknod(path, kind | 0o600, 0)
                try #require(made == 0)
            }
            for name in ["special", "disk"] {
                let error = #expect(throws: AttachError.self) {
                    try attach(bench.path(name), options: AttachOptions(format: .qcow2))
                }
                #expect(error?.kind == .refused)
            }
        }
        let error = #expect(throws: AttachError.self) { try attach("/dev/null") }
        #expect(error?.message.contains("character device") == true)
    }

    @Test func `a missing image and a missing base are not found`() throws {
        let bench = try Self.image("nowhere")
        #expect(throws: AttachError.self) { try attach(bench.path("no")) }
        let error = #expect(throws: AttachError.self) { try Self.open(bench) }
        #expect(error?.kind == .notFound && error?.path == bench.path("nowhere"))
    }

    @Test func `a failing read is unreadable, with layer and offset, and costs only itself`() throws
    {
        let bench = try Self.image()
        let options = AttachOptions(format: .qcow2) { layer in
            layer == 0
                ? nil
                : ReadFaults { offset, count in
                    offset < 40960 && offset + UInt64(count) > 36864 ? .fails(errno: EIO) : nil
                }
        }
        let disk = try attach(bench.path("disk"), options: options)
        #expect(try disk.source.bytes(at: 0, count: 36864).allSatisfy { $0 == 7 })
        #expect(try disk.source.bytes(at: 40960, count: 24576).allSatisfy { $0 == 7 })
        let error = #expect(throws: DiskError.self) {
            try disk.source.bytes(at: 32768, count: 8192)
        }
        #expect(error?.reason == .unreadable && error?.offset == 32768)
        #expect(error?.structure.contains("layer 1") == true)
        #expect(error?.structure.contains("_base/base") == true)
        #expect(error?.detail.contains("EIO") == true)
    }

    @Test func `reads that deliver a little at a time still deliver everything`() throws {
        let bench = try Self.image()
        let options = AttachOptions(format: .qcow2) { _ in
            ReadFaults { offset, _ in .delivers(atMost: 1 + Int(offset % 777)) }
        }
        let disk = try attach(bench.path("disk"), options: options)
        #expect(try disk.source.bytes(at: 0, count: 65536).allSatisfy { $0 == 7 })
    }

    @Test func `a file that shrinks is an error, not zeros`() throws {
        let bench = try Self.image()
        let disk = try Self.open(bench)
        try FileDescriptor.open(bench.base("base"), O_WRONLY).truncate(to: 1000)
        #expect(try disk.source.bytes(at: 0, count: 1000).allSatisfy { $0 == 7 })
        let error = #expect(throws: DiskError.self) { try disk.source.bytes(at: 0, count: 1001) }
        #expect(error?.reason == .unreadable && error?.offset == 1000)
    }

    @Test func `a file that is replaced by name goes on being read`() throws {
        let bench = try Self.image()
        let disk = try Self.open(bench)
        try FileManager.default.removeItem(atPath: bench.base("base"))
        try bench.write([UInt8](repeating: 9, count: 65536), bench.base("base"))
        #expect(try disk.source.bytes(at: 0, count: 3) == [7, 7, 7])
    }

    @Test func `a table that cannot be read is an error`() throws {
        let bench = try Self.image()
        let options = AttachOptions(format: .qcow2) { layer in
            ReadFaults { offset, _ in layer == 0 && offset >= 0x10000 ? .fails(errno: EIO) : nil }
        }
        let disk = try attach(bench.path("disk"), options: options)
        let error = #expect(throws: DiskError.self) { try disk.source.bytes(at: 0, count: 1) }
        #expect(error?.reason == .unreadable)
    }
}
