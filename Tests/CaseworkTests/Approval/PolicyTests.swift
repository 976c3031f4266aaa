import Foundation
import Testing

@testable import Casework
@testable import Linux

/// A policy is read only where nobody but its owner can have written it.
final class PolicyTests {
    private let directory: URL
    private let user: UInt32

    private static let good = """
        {"schema":"glovebox.policy/1","approval":"instances",\
        "instances_directories":["/var/lib/nova/instances"],"requesters":"requesters.allowed",\
        "approvers":"approvers.allowed","operators":"operators.allowed"}
        """

    init() throws {
        directory = FileManager.default.temporaryDirectory
            .appending(path: "glovebox-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        user = try FileDescriptor.openDirectory(directory.path).status().userID
        try mode(0o755, "")
        try write("policy.json", Self.good)
        for list in ["requesters", "approvers", "operators"] { try write("\(list).allowed", "") }
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    private func write(_ name: String, _ text: String) throws {
        try Data(text.utf8).write(to: directory.appending(path: name))
        try mode(0o644, name)
    }

    private func mode(_ mode: Int, _ name: String) throws {
        try FileManager.default.setAttributes(
            [.posixPermissions: mode],
            ofItemAtPath: directory.path + (name.isEmpty ? "" : "/\(name)")
        )
    }

    private func read(owner: UInt32? = nil) throws -> Policy? {
        try Policy.read(at: directory.path + "/policy.json", owner: owner ?? user)
    }

    private func reason(_ body: () throws -> Void) throws -> String {
        let error = #expect(throws: PolicyError.self, performing: body)
        return try #require(error).reason
    }

    @Test func `a policy and its lists are read`() throws {
        let policy = try #require(try read())
        #expect(policy.demand == .instances)
        let names = try policy.lists().digests.map(\.name)
        #expect(names == ["requesters", "approvers", "operators"])
    }

    @Test func `no policy is not a wrong one`() throws {
        try FileManager.default.removeItem(at: directory.appending(path: "policy.json"))
        #expect(try read() == nil)
        #expect(try Policy.read(at: directory.path + "/none/policy.json", owner: user) == nil)
    }

    @Test(arguments: ["", "policy.json", "approvers.allowed"], [0o664, 0o646, 0o777])
    func `what others may write is refused`(name: String, mode: Int) throws {
        try self.mode(name.isEmpty ? mode | 0o111 : mode, name)
        let reason = try reason { _ = try read()?.lists() }
        #expect(reason.contains("can be written by others"))
    }

    @Test func `another owner is refused`() throws {
        let reason = try reason { _ = try read(owner: user + 1) }
        #expect(reason.contains("belongs to user \(user)"))
    }

    @Test(arguments: ["policy.json", "approvers.allowed"])
    func `a symbolic link is refused`(name: String) throws {
        let file = directory.appending(path: name)
        try FileManager.default.moveItem(at: file, to: directory.appending(path: "real"))
        try FileManager.default.createSymbolicLink(
            atPath: file.path,
            withDestinationPath: directory.path + "/real"
        )
        #expect(try reason { _ = try read()?.lists() } == "is a symbolic link")
    }

    @Test func `a directory behind a symbolic link is refused`() throws {
        let link = directory.path + "-link"
        try FileManager.default.createSymbolicLink(
            atPath: link,
            withDestinationPath: directory.path
        )
        defer { try? FileManager.default.removeItem(atPath: link) }
        #expect(
            try reason { _ = try Policy.read(at: link + "/policy.json", owner: user) }
                == "is not a directory, or a symbolic link"
        )
    }

    @Test func `a FIFO blocks nobody`() throws {
        try FileManager.default.removeItem(at: directory.appending(path: "policy.json"))
        #expect(unsafe mkfifo(directory.path + "/policy.json", 0o644) == 0)
        #expect(try reason { _ = try read() } == "is a FIFO, no regular file")
    }

    @Test func `what is too long is refused`() throws {
        try write("policy.json", Self.good + String(repeating: " ", count: 1 << 16))
        #expect(try reason { _ = try read() }.hasPrefix("has more than"))
        try write("policy.json", Self.good)
        try write("approvers.allowed", String(repeating: "\n", count: 1 + 1 << 20))
        #expect(try reason { _ = try read()?.lists() }.hasPrefix("has more than"))
    }

    @Test func `a list that is missing is refused`() throws {
        try FileManager.default.removeItem(at: directory.appending(path: "approvers.allowed"))
        #expect(try reason { _ = try read()?.lists() }.hasPrefix("is missing"))
    }

    @Test func `without requesters operators may ask`() throws {
        let text = Self.good.replacingOccurrences(
            of: "\"requesters\":\"requesters.allowed\",",
            with: ""
        )
        try write("policy.json", text)
        try FileManager.default.removeItem(at: directory.appending(path: "requesters.allowed"))
        _ = try #require(try read()).lists()
    }

    @Test(arguments: [
        ("policy/1", "policy/2"), ("\"instances\"", "\"never\""),
        ("\"approvers\":", "\"approver\":"),
        ("[\"/var/lib/nova/instances\"]", "[]"), ("\"/var/lib/nova/instances\"", "\"instances\""),
        ("approvers.allowed", "../approvers"), ("approvers.allowed", ""),
        ("approvers.allowed", ".."),
        ("approvers.allowed", "/"), ("}", ",\"approval_hours_max\":0}"),
        ("}", ",\"approval_hours_max\":\"8\"}"), ("}", ",\"more\":1}"), ("}", "}}"),
        ("\"approval\":\"instances\"", "\"approval\":\"instances\",\"approval\":\"instances\""),
    ])
    func `a policy that differs is refused`(part: String, other: String) throws {
        let text = Self.good.replacingOccurrences(of: part, with: other)
        #expect(text != Self.good)
        try write("policy.json", text)
        #expect(try reason { _ = try read() }.hasPrefix("is not a policy"))
    }
}
