import Foundation
import Glibc
import Testing

@testable import Linux

/// What everything that touches the host's files builds on.
@Suite struct AttachLinuxTests {
    static func directory() throws -> (path: String, open: FileDescriptor) {
        let path = FileManager.default.temporaryDirectory.path + "/glovebox-linux-\(UUID())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return (path, try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY))
    }

    @Test func `an error says the call, the path and the reason`() {
        let error = #expect(throws: SystemError.self) {
            try FileDescriptor.open("/nonexistent/file", O_RDONLY)
        }
        #expect(error == SystemError(call: "open", path: "/nonexistent/file", errno: ENOENT))
        #expect(
            error?.description == "/nonexistent/file: No such file or directory (open: ENOENT)"
        )
        #expect(SystemError(call: "x", path: "", errno: 4711).description.contains("4711"))
    }

    @Test func `nothing above or behind a link is opened beneath a directory`() throws {
        let (path, directory) = try Self.directory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        for (link, target) in [("up", "../"), ("root", "/"), ("self", "inside")] {
            try FileManager.default.createSymbolicLink(
                atPath: "\(path)/\(link)",
                withDestinationPath: target
            )
        }
        let made = try directory.open("inside", O_WRONLY | O_CREAT, mode: 0o600, resolve: .beneath)
        try made.write([1, 2, 3])
        try made.close()
        for name in ["../etc/passwd", "/etc/passwd", "up/x", "root/etc/passwd"] {
            let error = #expect(throws: SystemError.self) {
                try directory.open(name, O_RDONLY, resolve: .beneath)
            }
            #expect(error?.errno == EXDEV)
        }
        #expect(try directory.open("self", O_RDONLY, resolve: .beneath).status().size == 3)
        let link = #expect(throws: SystemError.self) {
            try directory.open("self", O_RDONLY, resolve: [.beneath, .noSymbolicLinks])
        }
        #expect(link?.errno == ELOOP)
        #expect(throws: SystemError.self) {
            try directory.open([0x61, 0, 0x62], O_RDONLY, resolve: .beneath, describedAs: "a?b")
        }
    }

    @Test func `all bytes are written and read back, at any place`() throws {
        let (path, directory) = try Self.directory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let file = try directory.open("f", O_RDWR | O_CREAT, mode: 0o600, resolve: .beneath)
        let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try file.write(bytes)
        let span = bytes.span
        try file.write(unsafe span.bytes, at: 1_000_000)
        try file.truncate(to: 1_400_000)
        try file.synchronize()
        let status = try file.status()
        #expect(status.size == 1_400_000 && status.kind == .regular && status.linkCount == 1)
        var buffer = [UInt8](repeating: 0xEE, count: 500_000)
        var target = buffer.mutableSpan
        var raw = unsafe target.mutableBytes
        #expect(try file.read(into: &raw, at: 1_000_000) == 400_000)
        #expect(Array(buffer[..<300_000]) == bytes)
        #expect(buffer[300_000..<400_000].allSatisfy { $0 == 0 })
        #expect(buffer[400_000...].allSatisfy { $0 == 0xEE })
        #expect(try file.realPath().hasSuffix("/f"))
    }

    @Test func `a descriptor is closed once, by hand or with its owner`() throws {
        var file: FileDescriptor? = try FileDescriptor.open("/etc", O_RDONLY)
        let number = try #require(file?.number)
        try file?.close()
        #expect(file?.number == -1)
        try file?.close()
        let other = try FileDescriptor.open("/etc", O_RDONLY)
        file = nil
        #expect(try other.status().kind == .directory)
        #expect(other.number >= 0 && number >= 0)
    }

    @Test func `a full device is an error and not a short file`() throws {
        let full = try FileDescriptor.open("/dev/full", O_WRONLY)
        let error = #expect(throws: SystemError.self) { try full.write([1]) }
        #expect(error?.errno == ENOSPC && error?.call == "write")
    }

    @Test func `locks belong to the open file and show to others only`() throws {
        let (path, directory) = try Self.directory()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let one = try directory.open("f", O_RDWR | O_CREAT, mode: 0o600, resolve: .beneath)
        let two = try directory.open("f", O_RDONLY, resolve: .beneath)
        #expect(try two.isLockedByOthers(byteAt: 100) == false)
        #expect(try one.lockShared(byteAt: 100))
        #expect(try two.isLockedByOthers(byteAt: 100))
        #expect(try one.isLockedByOthers(byteAt: 100) == false)
        #expect(try two.isLockedByOthers(byteAt: 101) == false)
        #expect(try two.lockShared(byteAt: 100))
        try one.close()
        #expect(try two.isLockedByOthers(byteAt: 100) == false)
    }
}
