import Custody
import Foundation
import Testing

@testable import Casework
@testable import Digests
@testable import JSON
@testable import Linux

struct AuditLogTests {
    private let place: AuditPlace

    init() throws { place = try AuditPlace() }

    private func member(_ name: String, of line: [UInt8]) throws -> JSONValue? {
        guard case .object(let members) = try JSONValue(line) else { return nil }
        return members.first { $0.name == name }?.value
    }

    private func refusal(_ body: () throws -> Void) -> GloveboxError? {
        do { try body() } catch let error as GloveboxError { return error } catch {}
        return nil
    }

    @Test func `a line is appended to the log, which only its owner can read`() throws {
        let first = try place.append()
        let second = try place.log.append(
            .sealed(bag: "/case.tar", tagManifest: .zero),
            durably: true
        )
        let lines = try place.lines
        #expect(lines.map { Digest(of: $0) } == [first.digest, second.digest])
        #expect([first.sequence, second.sequence] == [1, 2])
        #expect(try member("event", of: lines[1]) == .string("sealed"))
        #expect(try member("sha256", of: lines[1]) == .string("\(Digest.zero)"))
        let manager = FileManager.default
        func mode(_ path: String) throws -> Int? {
            try manager.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }
        #expect(try mode(place.directory) == 0o700)
        #expect(try mode(place.path) == 0o600)
    }

    @Test func `what a killed writer left of a line is put right and told, at every length`() throws
    {
        try place.append()
        let before = try place.bytes
        try place.append()
        let line = try place.lines[1]
        for count in 1..<line.count {
            let torn = Array(line[..<count])
            try place.replace(before + torn)
            try place.append("/etc/hosts")
            let lines = try place.lines
            #expect(lines.count == 3)
            var text: [UInt8] = []
            Base64.append(torn, to: &text)
            let recovered = JSONValue.string(String(decoding: text, as: UTF8.self))
            #expect(try member("bytes_base64", of: lines[1]) == recovered)
            let found = try place.verify()
            #expect(found.isSound && found.recoveries == 1 && found.chain.sequence == 3)
        }
    }

    @Test func `a torn first line and a torn long line are put right`() throws {
        try FileManager.default.createDirectory(
            atPath: place.directory,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        for torn in [[UInt8(ascii: "{")], [UInt8](repeating: 0, count: 300_000)] {
            try place.replace(torn)
            try place.append()
            let found = try place.verify()
            #expect(found.isSound && found.recoveries == 1 && found.chain.sequence == 2)
        }
    }

    @Test func `nothing is appended to a log whose end is damaged`() throws {
        for _ in 0..<3 { try place.append() }
        let lines = try place.lines
        let damaged: [[[UInt8]]] = [
            [lines[0], lines[2]], [lines[1], lines[1]], [lines[1], lines[0]],
            [lines[0], Array("{}\n".utf8)], [lines[1]], [[0x0A]], [lines[0], [0x0A]],
            [lines[0], Array(lines[1].dropLast(2)) + [0x0A]],
            [lines[0], [UInt8](repeating: 0, count: 700) + [0x0A]],
            [lines[0], [UInt8](repeating: 0x20, count: 3 << 20)],
            [lines[0], [UInt8](repeating: 0x20, count: 3 << 20) + [0x0A]],
        ]
        for (index, content) in damaged.enumerated() {
            try place.replace(content.joined())
            let error = refusal { try place.append() }
            #expect(error?.kind == .refused, "\(index)")
            #expect(error?.message.contains("is damaged") == true, "\(index)")
            #expect(try place.bytes == Array(content.joined()))
        }
    }

    @Test func `the time of an append does not depend on the size of the log`() throws {
        try place.append()
        let file = try FileDescriptor.openDirectory(place.directory).openOrCreateFile("audit.jsonl")
        // A hole of a gigabyte before the last lines, which nobody may go through.
        let size: UInt64 = 1 << 30
        let last = try place.bytes
        var chain = HashChain(sequence: 8_000_000, head: .zero)
        let lines =
            [0x0A] + chain.line { $0.member("event", "read") }
            + chain.line { $0.member("event", "read") }
        try file.truncate(to: size)
        try file.write(lines, at: size)
        #expect(last.count < 1000)
        #expect(try place.append().sequence == 8_000_003)
        let end = try file.status().size
        #expect(end < size + 2000)
        #expect(try AuditTail(of: file, size: end).chain.sequence == 8_000_003)
    }

    @Test func `long arguments are cut, between characters, and their digest is kept`() throws {
        let long = String(repeating: "ä", count: 100_000)
        let arguments = ["cat", "-v", long, "x"].map { Array($0.utf8) }
        try place.log.append(.read(.init(arguments: arguments, target: "/disk")), durably: false)
        let line = try place.lines[0]
        #expect(line.count < 40_000)
        guard case .array(let kept)? = try member("arguments", of: line) else {
            Issue.record("no arguments")
            return
        }
        #expect(kept.first == .string("-v") && kept.count == 2)
        guard case .string(let text)? = kept.last else { return }
        #expect(text.utf8.count > 16_000 && long.hasPrefix(text))
        let all = Array(("-v\0" + long + "\0x\0").utf8)
        #expect(try member("arguments_bytes", of: line) == .integer(Int64(all.count)))
        #expect(try member("arguments_sha256", of: line) == .string("\(Digest(of: all))"))
        #expect(try member("arguments_base64", of: line) == nil)
    }

    @Test func `arguments that are not UTF-8 are kept exactly, and none makes a long line`() throws
    {
        let bytes = [UInt8](repeating: 0xFF, count: 2 << 20)
        for arguments in [[[0x63], [0xFF, 0x0A]], [[0x63], bytes], [bytes, bytes]] as [[[UInt8]]] {
            try place.log.append(
                .read(.init(arguments: arguments, target: "/d", reason: "\u{1}\u{202E}")),
                durably: false
            )
        }
        let lines = try place.lines
        #expect(try member("arguments_base64", of: lines[0]) == .array([.string("/wo=")]))
        #expect(try member("reason", of: lines[0]) == .string("\u{1}\u{202E}"))
        #expect(lines.allSatisfy { $0.count < 200_000 })
        #expect(try place.verify().isSound)
    }

    @Test func `a log or directory that others could have written is refused`() throws {
        try place.append()
        let manager = FileManager.default
        for path in [place.path, place.directory] {
            for mode in [0o620, 0o602, 0o777] {
                try manager.setAttributes([.posixPermissions: mode | 0o100], ofItemAtPath: path)
                let error = refusal { try place.append() }
                #expect(error?.message.contains("by others than its owner") == true)
            }
            try manager.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
        }
        let kept = try place.bytes
        try manager.moveItem(atPath: place.path, toPath: place.url.path + "/moved")
        for make in [
            { try manager.createSymbolicLink(atPath: $0, withDestinationPath: "../moved") },
            { try manager.createDirectory(atPath: $0, withIntermediateDirectories: false) },
            { #expect(unsafe mkfifo($0, 0o600) == 0) },
        ] as [(String) throws -> Void] {
            try make(place.path)
            #expect(refusal { try place.append() }?.kind == .refused)
            try manager.removeItem(atPath: place.path)
        }
        try manager.moveItem(atPath: place.url.path + "/moved", toPath: place.path)
        #expect(try place.bytes == kept)
        try place.append()
    }

    @Test func `a log goes on in a new file when it is rotated, and both are one chain`() throws {
        let first = try place.append()
        try place.append()
        #expect(try place.log.rotate() == "audit-1-2.jsonl")
        let third = try place.append("/etc/hosts")
        #expect(third.sequence == 4)
        #expect(try place.log.rotate() == "audit-3-4.jsonl")
        let last = try place.append()
        #expect(try place.verify(first, third, last).isSound)
        try FileManager.default.removeItem(atPath: place.directory + "/audit-1-2.jsonl")
        let rest = try place.verify(first, third, last)
        #expect(rest.problem == nil && rest.first == 3 && !rest.isSound)
        #expect(rest.anchors.map(\.finding) == [.older, .held, .held])
        try FileManager.default.removeItem(atPath: place.directory + "/audit-3-4.jsonl")
        #expect(try place.verify(last).isSound)
    }

    @Test func `names are found in a file of passwords`() {
        let file = Array("root:x:0:0::/:/bin/sh\n\nbad\n:x:7:7\na:x:10:\nb:x:1:1:\n".utf8)
        #expect(AuditCaller.name(of: 0, in: file) == "root")
        #expect(AuditCaller.name(of: 1, in: file) == "b")
        #expect(AuditCaller.name(of: 10, in: file) == "a")
        for user: UInt32 in [7, 100, 4_294_967_294] {
            #expect(AuditCaller.name(of: user, in: file) == nil)
        }
    }
}
