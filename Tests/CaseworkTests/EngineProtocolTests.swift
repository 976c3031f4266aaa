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

    @Test func `what is left of engines is swept, and nothing else`() throws {
        let parent = try TreeRemovalTests.made()
        let other = try TreeRemovalTests.made()
        defer {
            for path in [parent, other] { try? FileManager.default.removeItem(atPath: path) }
        }
        func path(_ digit: Character) -> String {
            "\(parent)/glovebox-" + String(repeating: digit, count: 16)
        }
        let held = try EngineRemains.make(path("1"))
        try EngineRemains.make(path("2")).close()
        try Data("left".utf8).write(to: URL(fileURLWithPath: path("2") + "/file"))
        // What another could have put there, or the user.
        try Data("kept".utf8).write(to: URL(fileURLWithPath: "\(other)/kept"))
        try FileManager.default.createSymbolicLink(
            atPath: path("3"),
            withDestinationPath: other
        )
        try Data().write(to: URL(fileURLWithPath: path("4")))
        try FileDescriptor.makeDirectory(at: path("5"))
        try FileDescriptor.openDirectory(path("5")).setPermissions(0o777)
        let foreign = [path("A"), path("6") + "7", "\(parent)/glovebox-", "\(parent)/mine"]
        for name in foreign { try FileDescriptor.makeDirectory(at: name) }
        EngineRemains.sweep(parent)
        let left = Set(try directoryNames(parent).map { "\(parent)/\($0)" })
        #expect(left == Set([path("1"), path("3"), path("4"), path("5")] + foreign))
        #expect(FileManager.default.fileExists(atPath: "\(other)/kept"))
        withExtendedLifetime(held) {}
    }

    @Test func `a directory that was removed before it was locked is not taken for made`() throws {
        let parent = try TreeRemovalTests.made()
        defer { try? FileManager.default.removeItem(atPath: parent) }
        let directory = EngineRemains.newPath(beneath: parent)
        try FileDescriptor.makeDirectory(at: directory)
        let made = try FileDescriptor.openDirectory(directory)
        EngineRemains.sweep(parent)
        #expect(try !EngineRemains.isTaken(made, directory))
        try FileDescriptor.makeDirectory(at: directory)
        #expect(try !EngineRemains.isTaken(made, directory))
        let again = try FileDescriptor.openDirectory(directory)
        #expect(try EngineRemains.isTaken(again, directory))
        #expect(try !EngineRemains.isTaken(FileDescriptor.openDirectory(directory), directory))
        withExtendedLifetime((made, again)) {}
    }

    @Test func `a directory of an engine is new, short and plain`() {
        let paths = (0..<100).map { _ in EngineDirectory.newPath() }
        #expect(Set(paths).count == 100)
        for path in paths {
            #expect(path.utf8.count <= 74 && path.hasPrefix("/"))
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
