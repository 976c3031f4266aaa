import Foundation
import Linux
import Testing

@testable import Custody

struct ExportPlacesTests {
    private func status(_ path: String) throws -> FileStatus {
        try FileDescriptor.open(path, O_RDONLY).status()
    }

    @Test func `names follow from the session's name`() throws {
        let places = ExportPlaces(stateDirectory: "/s", session: Journals.name)
        #expect(places.socket == "/s/exports/\(Journals.name)/socket")
        #expect(try places.scratch("vda") == "/s/exports/\(Journals.name)/scratch-vda")
        for target in [
            "", "../x", "a/b", "VDA", "a b", "é", "a.b", String(repeating: "a", count: 17),
        ] {
            #expect(refusal { try places.scratch(target) } != nil, "\(target)")
        }
        for session in ["", "..", "../../x", Journals.name + "/.."] {
            let places = ExportPlaces(stateDirectory: "/nowhere", session: session)
            #expect(throws: SessionError.noSession(session)) { try places.make(owner: nil) }
            #expect(throws: SessionError.noSession(session)) { try places.remove() }
        }
    }

    @Test func `they are made once, and removed with all in them`() throws {
        let scratch = try Scratch()
        let places = ExportPlaces(stateDirectory: scratch.path, session: Journals.name)
        try places.remove()
        try places.make(owner: nil)
        #expect(try status(places.directory).permissions == 0o700)
        #expect(try status(scratch.path + "/exports").permissions == 0o711)
        #expect(try status(scratch.path).permissions == 0o700)
        #expect(throws: SessionError.self) { try places.make(owner: nil) }
        try Data("x".utf8).write(to: URL(filePath: places.scratch("vda")))
        try places.remove()
        #expect(!FileManager.default.fileExists(atPath: places.directory))
        try places.remove()
    }

    @Test func `a path that no socket can have is refused`() throws {
        let scratch = try Scratch()
        let deep = scratch.path + "/" + String(repeating: "d", count: 60)
        let places = ExportPlaces(stateDirectory: deep, session: Journals.name)
        #expect(refusal { try places.make(owner: nil) }?.contains("too long") == true)
        #expect(!FileManager.default.fileExists(atPath: deep))
    }

    @Test(.enabled(if: OwnProcess.effectiveUserID == 0, "giving files away needs root"))
    func `QEMU's user gets its own directory, and nothing is followed out of it`() throws {
        let scratch = try Scratch()
        let places = ExportPlaces(stateDirectory: scratch.path, session: Journals.name)
        try places.make(owner: .init(user: 65_534, group: 65_534))
        let made = try status(places.directory)
        #expect(made.userID == 65_534 && made.groupID == 65_534 && made.permissions == 0o700)
        #expect(try status(scratch.path).permissions == 0o711)
        let precious = scratch.path + "/precious"
        try FileManager.default.createDirectory(atPath: precious, withIntermediateDirectories: true)
        try Data("x".utf8).write(to: URL(filePath: precious + "/file"))
        for (name, target) in [("socket", precious + "/file"), ("scratch-vda", precious)] {
            try FileManager.default.createSymbolicLink(
                atPath: "\(places.directory)/\(name)",
                withDestinationPath: target
            )
        }
        try FileManager.default.createDirectory(
            atPath: places.directory + "/a/b",
            withIntermediateDirectories: true
        )
        try places.remove()
        #expect(!FileManager.default.fileExists(atPath: places.directory))
        #expect(FileManager.default.fileExists(atPath: precious + "/file"))
        try FileManager.default.createSymbolicLink(
            atPath: places.directory,
            withDestinationPath: precious
        )
        #expect(throws: SessionError.self) { try places.remove() }
        #expect(FileManager.default.fileExists(atPath: precious + "/file"))
    }
}
