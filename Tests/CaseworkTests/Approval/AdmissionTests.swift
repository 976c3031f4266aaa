import Foundation
import Testing

@testable import Casework
@testable import Linux

/// What was decided about files holds for those files only.
final class AdmissionTests {
    private let directory: URL

    init() throws {
        directory = FileManager.default.temporaryDirectory
            .appending(path: "glovebox-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    private func file(_ name: String) throws -> String {
        let url = directory.appending(path: name)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(),
            withIntermediateDirectories: true
        )
        try Data(repeating: 1, count: 4096).write(to: url)
        return url.path
    }

    private func attached(_ path: String) throws -> AttachedDisk {
        try attach(path, options: AttachOptions(format: .raw))
    }

    private func identity(_ path: String) throws -> FileStatus.Identity {
        try FileDescriptor.open(path, FileDescriptor.pathOnly).status().identity
    }

    @Test func `a file that was put in place of the one that was looked at is refused`() throws {
        let path = try file("disk")
        let admission = Admission(approval: nil, instance: nil, seen: [try identity(path)])
        try admission.confirm(attached(path))
        try FileManager.default.moveItem(atPath: path, toPath: path + ".old")
        _ = try file("disk")
        let error = #expect(throws: GloveboxError.self) { try admission.confirm(attached(path)) }
        #expect(error?.kind == .refused)
        #expect(error?.message.hasSuffix("exchanged while it was being opened.") == true)
    }

    @Test func `a file is known by its path and by its identity`() throws {
        let uuid = "5f0c8a52-1c1d-4b60-9a6f-2f3e8f2c1a77"
        let other = "0b6a3c1e-7d0f-4c52-8a39-51e0a1c7d9f4"
        let disk = try file("instances/\(uuid)/disk")
        let base = try file("instances/_base/base")
        let loose = try file("loose")
        try FileManager.default.linkItem(atPath: disk, toPath: directory.path + "/hard")
        let instances = try NovaInstances([directory.path + "/instances", "/nothing/here"])
        func place(_ path: String) throws -> NovaInstances.Place {
            let file = try FileDescriptor.open(path, FileDescriptor.pathOnly)
            return try instances.place(realPath: file.realPath(), file.status())
        }
        #expect(try place(disk) == .init(isInside: true, instances: [uuid]))
        #expect(try place(directory.path + "/hard") == .init(isInside: true, instances: [uuid]))
        #expect(try place(base) == .init(isInside: true))
        #expect(try place(loose) == .init())
        #expect(try place(directory.path + "/instances").isInside)

        // A second name in another instance's directory makes it that one's, too.
        try FileManager.default.createDirectory(
            atPath: directory.path + "/instances/\(other)",
            withIntermediateDirectories: true
        )
        try FileManager.default.linkItem(
            atPath: disk,
            toPath: directory.path + "/instances/\(other)/disk"
        )
        let again = try NovaInstances([directory.path + "/instances"])
        let file = try FileDescriptor.open(disk, FileDescriptor.pathOnly)
        #expect(try again.place(realPath: disk, file.status()).instances == [uuid, other])
    }

    @Test func `a host without instances is not searched`() throws {
        let path = try file("disk")
        let survey = try TargetSurvey(
            Target(path),
            AttachOptions(),
            NovaInstances([directory.path + "/none"])
        )
        #expect(survey.seen == nil)
        #expect(!survey.isOfInstance)
    }
}
