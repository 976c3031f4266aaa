import Foundation
import Glibc
import Testing

@testable import Casework
@testable import DiskFormats

@Suite(.enabled(if: AttachBench.hasQEMU, "qemu-utils is not installed"))
struct AttachLockTests {
    /// An overlay on a raw base.
    static func bench() throws -> AttachBench {
        let bench = try AttachBench()
        try bench.write([UInt8](repeating: 0xAB, count: 1 << 20), bench.base("base"))
        try bench.create("disk", ["-f", "qcow2", "-b", "../_base/base", "-F", "raw"])
        return bench
    }

    /// Serves `file` with qemu-nbd until the returned process is terminated.
    static func serve(_ bench: AttachBench, _ file: String, _ options: [String]) async throws
        -> Process
    {
        let socket = bench.path("\(UUID().uuidString.prefix(4))")
        let server = try bench.start("qemu-nbd", options + ["-t", "-k", socket, file])
        // Its socket is there before it opens the image; it greets afterwards.
        for _ in 0..<500 where server.isRunning {
            if greets(socket) { return server }
            try await Task.sleep(for: .milliseconds(10))
        }
        try #require(Bool(false), "qemu-nbd did not begin to serve \(file)")
        return server
    }

    /// Whether an NBD server answers at `path`.
    private static func greets(_ path: String) -> Bool {
        let client = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        defer { close(client) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let size = socklen_t(MemoryLayout.size(ofValue: address))
        unsafe withUnsafeMutableBytes(of: &address.sun_path) {
            unsafe $0.copyBytes(from: path.utf8.prefix($0.count - 1))
        }
        let connected = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(client, $0, size)
            }
        }
        var greeting: [UInt8] = [UInt8](repeating: 0, count: 8)
        guard connected == 0, unsafe recv(client, &greeting, 8, CInt(MSG_WAITALL)) == 8
        else { return false }
        return greeting.elementsEqual("NBDMAGIC".utf8)
    }

    static func stop(_ server: Process) {
        // The test's own threads block SIGTERM, and children inherit that.
        kill(server.processIdentifier, SIGKILL)
        server.waitUntilExit()
    }

    /// The bytes on which `file` is locked by anybody whose descriptors we may see.
    ///
    /// Not from /proc/locks: that is read page by page while other processes change it.
    static func lockedBytes(_ file: String) throws -> Set<Int> {
        let files = FileManager.default
        let file = URL(fileURLWithPath: file).resolvingSymlinksInPath().path
        var bytes: Set<Int> = []
        for process in try files.contentsOfDirectory(atPath: "/proc") where Int(process) != nil {
            let open = (try? files.contentsOfDirectory(atPath: "/proc/\(process)/fd")) ?? []
            for number in open {
                let place = "/proc/\(process)/fd/\(number)"
                guard (try? files.destinationOfSymbolicLink(atPath: place)) == file,
                    let info = try? String(
                        contentsOfFile: "/proc/\(process)/fdinfo/\(number)",
                        encoding: .utf8
                    )
                else { continue }
                for line in info.split(separator: "\n") where line.hasPrefix("lock:") {
                    let words = line.split(separator: " ").map(String.init)
                    guard words.contains("OFDLCK"), let last = Int(words[words.count - 1]),
                        let first = Int(words[words.count - 2])
                    else { continue }
                    bytes.formUnion(first...last)
                }
            }
        }
        return bytes
    }

    @Test func `an image that qemu-nbd may write to is in use`() async throws {
        let bench = try Self.bench()
        let server = try await Self.serve(bench, "disk", ["-f", "qcow2"])
        defer { Self.stop(server) }
        let error = #expect(throws: AttachError.self) { try attach(bench.path("disk")) }
        #expect(error?.kind == .inUse && error?.exitCode == 6 && error?.path == bench.path("disk"))
        let without = try attach(bench.path("disk"), options: AttachOptions(locking: .none))
        #expect(without.layers.count == 2)
    }

    @Test func `a base that qemu-nbd may write to is in use`() async throws {
        let bench = try Self.bench()
        let server = try await Self.serve(bench, bench.base("base"), ["-f", "raw"])
        defer { Self.stop(server) }
        let error = #expect(throws: AttachError.self) { try attach(bench.path("disk")) }
        #expect(error?.kind == .inUse && error?.path.hasSuffix("_base/base") == true)
    }

    @Test func `a base that another instance runs on is free to read`() async throws {
        let bench = try Self.bench()
        try bench.create("other", ["-f", "qcow2", "-b", "../_base/base", "-F", "raw"])
        let server = try await Self.serve(bench, "other", ["-f", "qcow2"])
        defer { Self.stop(server) }
        let disk = try attach(bench.path("disk"))
        #expect(disk.layers.count == 2)
        #expect(try disk.source.bytes(at: 0, count: 2) == [0xAB, 0xAB])
    }

    @Test func `readers do not keep one another out`() async throws {
        let bench = try Self.bench()
        let first = try attach(bench.path("disk"))
        let second = try attach(bench.path("disk"))
        let server = try await Self.serve(bench, "disk", ["-f", "qcow2", "-r"])
        defer { Self.stop(server) }
        let third = try attach(bench.path("disk"))
        #expect(Set([first, second, third].map(\.layers.count)) == [2])
    }

    @Test func `the locks that are held are those of a reading qemu-nbd`() async throws {
        let bench = try Self.bench()
        let server = try await Self.serve(bench, "disk", ["-f", "qcow2", "-r"])
        let theirs = try (
            Self.lockedBytes(bench.path("disk")), Self.lockedBytes(bench.base("base"))
        )
        Self.stop(server)
        #expect(try Self.lockedBytes(bench.path("disk")).isEmpty)
        let disk = try attach(bench.path("disk"))
        let ours = try (Self.lockedBytes(bench.path("disk")), Self.lockedBytes(bench.base("base")))
        #expect(ours == theirs)
        #expect(ours.0 == [100, 201, 203] && ours.1 == [100])
        withExtendedLifetime(disk) {}
    }

    @Test func `no writer can begin while a disk is attached, and one can afterwards`() async throws
    {
        let bench = try Self.bench()
        var disk: AttachedDisk? = try attach(bench.path("disk"))
        let write = ["-f", "qcow2", "-c", "write -P 1 0 4k", "disk"]
        let (refused, output) = try bench.attempt("qemu-io", write)
        #expect(refused != 0)
        #expect(String(decoding: output, as: UTF8.self).contains("Failed to get \"write\" lock"))
        let (served, _) = try bench.attempt(
            "qemu-nbd",
            ["-f", "qcow2", "-k", bench.path("s"), "disk"]
        )
        #expect(served != 0)
        // The source alone keeps the hold as well.
        let source = disk?.source
        disk = nil
        #expect(try bench.attempt("qemu-io", write).0 != 0)
        #expect(try source?.bytes(at: 0, count: 1) == [0xAB])
        withExtendedLifetime(source) {}
    }

    @Test func `the hold ends with the disk`() throws {
        let bench = try Self.bench()
        do { _ = try attach(bench.path("disk")) }
        #expect(try bench.attempt("qemu-io", ["-f", "qcow2", "-c", "write 0 4k", "disk"]).0 == 0)
    }

    @Test func `an image that was refused is not held`() throws {
        let bench = try AttachBench()
        try bench.write([1], bench.outside("base"))
        try bench.create("disk", ["-f", "qcow2", "-b", bench.outside("base"), "-F", "raw"])
        let error = #expect(throws: AttachError.self) { try attach(bench.path("disk")) }
        #expect(error?.kind == .refused)
        #expect(try Self.lockedBytes(bench.path("disk")).isEmpty)
    }
}
