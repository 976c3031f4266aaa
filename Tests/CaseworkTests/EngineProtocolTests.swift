import Foundation
import Linux
import Testing

@testable import Casework
@testable import DiskFormats
@testable import EngineProtocol

/// What front and guardian say to each other, neither trusting the other.
@Suite struct EngineProtocolTests {
    static let requests: [GuardianRequest] = [
        .start(directory: "/tmp/glovebox-0", disks: [[.raw], [.qcow2, .qcow2, .raw]]),
        .start(directory: "", disks: []), .startWorker,
    ]
    static let reports: [GuardianReport] = [
        .ready(
            exports: [.init(socket: "/tmp/s", byteCount: .max), .init(socket: "", byteCount: 0)],
            warnings: ["one", "zwei ü"]
        ),
        .workerStarted, .workerEnded("it ended"), .failed("why"),
    ]

    @Test(arguments: requests) func `a request arrives as it was sent`(
        _ request: GuardianRequest
    ) throws {
        #expect(try GuardianRequest(request.bytes) == request)
    }

    @Test(arguments: reports) func `a report arrives as it was sent`(
        _ report: GuardianReport
    ) throws {
        #expect(try GuardianReport(report.bytes) == report)
    }

    @Test func `every truncation and every tail throws, and none traps`() {
        for bytes in Self.requests.map(\.bytes) {
            for count in 0..<bytes.count {
                #expect(throws: DiskError.self) { try GuardianRequest(Array(bytes[..<count])) }
            }
            #expect(throws: DiskError.self) { try GuardianRequest(bytes + [0]) }
        }
        for bytes in Self.reports.map(\.bytes) {
            for count in 0..<bytes.count {
                #expect(throws: DiskError.self) { try GuardianReport(Array(bytes[..<count])) }
            }
            #expect(throws: DiskError.self) { try GuardianReport(bytes + [0]) }
        }
        for first in UInt8.min...UInt8.max {
            _ = try? GuardianRequest([first] + [UInt8](repeating: 0xFF, count: 40))
            _ = try? GuardianReport([first] + [UInt8](repeating: 0xFF, count: 40))
        }
    }

    @Test func `a disk without layers, too many, or of no known format is refused`() {
        for disks in [[[]], Array(repeating: [LayerFormat.raw], count: 61)] {
            #expect(throws: DiskError.self) {
                try GuardianRequest(GuardianRequest.start(directory: "/", disks: disks).bytes)
            }
        }
        var bytes = GuardianRequest.start(directory: "", disks: [[.raw]]).bytes
        bytes[bytes.count - 1] = 9
        #expect(throws: DiskError.self) { try GuardianRequest(bytes) }
    }

    @Test func `only a directory that libguestfs made is removed for it`() throws {
        for path in [
            "/tmp/libguestfsAb12Zz/..", "/tmp/libguestfs", "/etc", "/tmp/libguestfs/a/bc",
            "/tmp/libguestfs......", "/tmp/../libguestfsAb12Zz", "/tmp/libguestfsAb12Zzz",
        ] {
            #expect(!EngineRemains.isLibguestfsDirectory(path), "\(path)")
        }
        let own = try TreeRemovalTests.made()
        let sockets = "/tmp/libguestfs" + String(UUID().uuidString.prefix(6))
        try FileDescriptor.makeDirectory(at: sockets)
        try Data("x".utf8).write(to: URL(fileURLWithPath: "\(sockets)/guestfsd.sock"))
        try FileManager.default.createSymbolicLink(
            atPath: "\(own)/\(EngineRemains.socketsLink)",
            withDestinationPath: sockets
        )
        try EngineRemains.remove(own)
        #expect(!FileManager.default.fileExists(atPath: sockets))
        #expect(!FileManager.default.fileExists(atPath: own))
    }

    @Test func `a directory of an engine is new, short and plain`() {
        let paths = (0..<100).map { _ in EngineDirectory.newPath() }
        #expect(Set(paths).count == 100)
        for path in paths {
            #expect(path.utf8.count <= 76 && path.hasPrefix("/"))
            #expect(path.split(separator: "-").last?.count == 16)
        }
    }

    @Test func `an engine that is not there is named with the places that were looked at`() {
        let error = #expect(throws: GloveboxError.self) {
            try EngineProgram.find("/nonexistent/engine")
        }
        #expect(error?.kind == .unreadable)
        #expect(error?.message.contains("/nonexistent/engine") == true)
        #expect(throws: GloveboxError.self) { try EngineProgram.find("/etc/passwd") }
        #expect(throws: GloveboxError.self) { try EngineProgram.find("/etc") }
    }
}
