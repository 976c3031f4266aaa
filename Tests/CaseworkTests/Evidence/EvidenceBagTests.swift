import Custody
import Digests
import DiskFormats
import Foundation
import JSON
import TestSupport
import Testing

@testable import Casework

/// Whole bags, of file systems that need no disk.
@Suite struct EvidenceBagTests {
    private static func make(
        _ files: FakeFileSystem,
        at path: String,
        cancellation: CancellationFlag = CancellationFlag(),
        change: (inout Extraction.Options) -> Void = { _ in },
        progress: @escaping (Extraction.Progress) -> Void = { _ in }
    ) throws -> (report: ExtractionReport, seal: EvidenceBag.Seal?) {
        var options = Extraction.Options()
        change(&options)
        let root = Extraction.Root(
            files,
            inode: files.rootInode,
            guestPath: [0x2F],
            name: [],
            volume: "disk:p1"
        )
        return try EvidenceBag(at: path, signer: nil).make(
            from: [root],
            options: options,
            source: BagSource(target: "disk", instance: nil, disks: [], inner: []),
            context: BagContext(paths: ["/"], program: "glovebox 1"),
            cancellation: cancellation,
            progress: progress
        )
    }

    private static func content(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// The lines of files.jsonl, by path.
    private static func records(_ bag: String) throws -> [String: JSONMembers] {
        var found: [String: JSONMembers] = [:]
        for line in try content(bag + "/data/files.jsonl").split(separator: 0x0A) {
            var members = try JSONMembers(JSONValue(Array(line)), of: "record")
            let name =
                members.optional("path") ?? members.optional("problem")
                ?? members.optional("skipped")
            guard case .string(let path)? = name else { continue }
            found[path] = members
        }
        return found
    }

    @Test func `a record is this line`() throws {
        let files = FakeFileSystem()
        let file = files.addFile([UInt8]("a\"b".utf8), [.bytes([1, 2, 3])]) {
            $0.linkCount = 2
            $0.created = Timestamp(seconds: 0)
        }
        files.attributes[file] = [ExtendedAttribute(name: Array("user.x".utf8), value: [0xFF])]
        files.link([UInt8]("c".utf8), in: 2, to: file)
        let scratch = try Scratch()
        let bag = scratch.path + "/A.bag"
        #expect(try Self.make(files, at: bag).seal != nil)
        let time = "\"1970-01-01T00:00:00.000000000Z\""
        let begin = "\"volume\":\"disk:p1\",\"inode\":\(file),\"links\":2,"
        let rest =
            "\"mode\":\"0644\",\"uid\":0,\"gid\":0,"
            + "\"mtime\":\"2023-11-14T22:13:20.123456789Z\",\"ctime\":\(time),\"atime\":\(time),"
            + "\"crtime\":\(time),"
        let expected = """
            {"path":"a\\"b","guest_path":"/a\\"b",\(begin)"type":"file",\(rest)"size":3,\
            "sha256":"\(Digest(of: [1, 2, 3]))",\
            "xattrs":[{"name":"user.x","value_base64":"/w=="}]}
            {"path":"c","guest_path":"/c",\(begin)"type":"hardlink",\(rest)"link_to":"a\\"b"}

            """
        let lines = String(decoding: try Self.content(bag + "/data/files.jsonl"), as: UTF8.self)
        #expect(lines == expected)
    }

    @Test func `what could not be read is in the record and after all records`() throws {
        let files = FakeFileSystem()
        files.addFile(
            [UInt8]("short".utf8),
            [.bytes(noise(4_096)), .unmapped(4_096), .bytes(noise(9))]
        )
        files.addFile(
            [UInt8]("long".utf8),
            [.bytes(noise(2 << 20)), .failing(8_192), .bytes(noise(5))]
        )
        files.addFile([UInt8]("whole".utf8), [.bytes(noise(7))])
        files.add("socket", .socket)
        let scratch = try Scratch()
        let bag = scratch.path + "/A.bag"
        let (report, seal) = try Self.make(files, at: bag)
        #expect(seal != nil && !report.isComplete)
        var records = try Self.records(bag)
        for (path, offset, length) in [("short", 4_096, 4_096), ("long", 2 << 20, 8_192)] {
            let missing = try JSONValue(
                Array("[{\"offset\":\(offset),\"length\":\(length)}]".utf8)
            )
            #expect(try records[path]?.value("missing") == missing)
            let digest = try run(
                "python3",
                "-c",
                """
                import sys, tarfile, hashlib
                archive = tarfile.open(sys.argv[1])
                print(hashlib.sha256(archive.extractfile(sys.argv[2]).read()).hexdigest(), end="")
                """,
                bag + "/data/files.tar",
                path
            )
            #expect(try records[path]?.value("sha256") == .string(digest))
        }
        #expect(records["whole"]?.optional("missing") == nil)
        #expect(records["/socket"]?.optional("reason") == .string("socket"))
        let lines = try Self.content(bag + "/data/files.jsonl").split(separator: 0x0A)
        let isRecord = lines.map { $0.starts(with: "{\"path\":".utf8) }
        #expect(isRecord == [true, true, true, false, false, false])
        let page = String(decoding: try Self.content(bag + "/report.html"), as: UTF8.self)
        #expect(page.contains("What is missing, and why") && page.contains("Not complete"))
    }

    @Test func `the digests are those of the files`() throws {
        let files = FakeFileSystem()
        for index in 0..<50 {
            files.addFile([UInt8]("\(index)".utf8), [.bytes(noise(index * 999))])
        }
        files.addFile([UInt8]("long".utf8), [.hole(5_000), .bytes(noise(3_333_333)), .hole(77)])
        let scratch = try Scratch()
        for (path, form) in [("A.bag", "directory"), ("A.tar", "tar")] {
            let (_, seal) = try Self.make(files, at: "\(scratch.path)/\(path)")
            if form == "tar" {
                try run("tar", "-C", scratch.path, "-xf", "\(scratch.path)/A.tar")
            }
            let bag = scratch.path + (form == "tar" ? "/A" : "/A.bag")
            try run("sh", "-c", "cd '\(bag)' && sha256sum --strict --quiet -c manifest-sha256.txt")
            try run(
                "sh",
                "-c",
                "cd '\(bag)' && sha256sum --strict --quiet -c tagmanifest-sha256.txt"
            )
            let tags = try Self.content(bag + "/tagmanifest-sha256.txt")
            #expect(seal?.tagManifest == Digest(of: tags))
        }
        for name in ["files.tar", "files.jsonl"] {
            try run("cmp", "\(scratch.path)/A/data/\(name)", "\(scratch.path)/A.bag/data/\(name)")
        }
    }

    @Test func `an approval is in the bag, and such a bag has to be signed`() throws {
        let scratch = try Scratch()
        let key = scratch.path + "/key"
        try run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        let files = FakeFileSystem()
        files.addFile([UInt8]("x".utf8), [.bytes(noise(99))])
        var authority = BagAuthority(
            id: "id",
            ticket: "INC-1 \n<é>",
            reason: "because",
            document: Array("{}".utf8),
            requestSignature: Array("one".utf8),
            approvalSignature: Array("two".utf8),
            requester: .init(principal: "a@example.com", fingerprint: "SHA256:a"),
            approver: .init(principal: "b@example.com", fingerprint: "SHA256:b"),
            verified: Timestamp(seconds: 1),
            expires: Timestamp(seconds: 2)
        )
        authority.policy = Digest(of: [1])
        func make(_ name: String, _ signer: BagSigner?) throws -> EvidenceBag.Seal? {
            let root = Extraction.Root(files, inode: 2, guestPath: [0x2F], name: [])
            return try EvidenceBag(at: "\(scratch.path)/\(name)", signer: signer).make(
                from: [root],
                options: Extraction.Options(),
                source: BagSource(target: "disk", instance: "uuid", disks: [], inner: []),
                context: BagContext(
                    paths: ["/"],
                    program: "glovebox 1",
                    authority: authority,
                    audit: AuditRecord(sequence: 7, digest: Digest(of: [2]))
                ),
                cancellation: CancellationFlag(),
                progress: { _ in }
            ).seal
        }
        #expect(throws: GloveboxError.self) { try make("A.bag", nil) }
        #expect(!FileManager.default.fileExists(atPath: scratch.path + "/A.bag"))
        let signer = try BagSigner(key: key, agent: nil)
        #expect(try make("A.bag", signer)?.signer == signer.fingerprint)
        _ = try make("A.tar", signer)
        let bag = scratch.path + "/A.bag"
        #expect(try Self.content(bag + "/data/approval.json") == authority.document)
        #expect(try Self.content(bag + "/data/approval.json.request.sig") == Array("one".utf8))
        #expect(try Self.content(bag + "/data/approval.json.approval.sig") == Array("two".utf8))
        let members = try run("tar", "-tf", scratch.path + "/A.tar").split(separator: "\n")
        #expect(members.map(String.init) == BagFile.allCases.map { "A/\($0.rawValue)" })
        let information = try Self.content(bag + "/bag-info.txt")
        #expect(
            String(decoding: information, as: UTF8.self)
                .contains("\nExternal-Identifier: INC-1 \\x0a<\\xc3\\xa9>\n")
        )
        var chain = HashChain()
        var events: [String] = []
        for line in try Self.content(bag + "/data/custody.jsonl").split(separator: 0x0A) {
            var members = try chain.read(Array(line))
            if case .string(let event) = try members.value("event") { events.append(event) }
        }
        #expect(events == ["approval", "opened", "read", "audit", "extracted", "sealed"])
        let page = String(decoding: try Self.content(bag + "/report.html"), as: UTF8.self)
        #expect(page.contains("<dd>INC-1 \\x0a&lt;é&gt;</dd>") && page.contains("a@example.com"))
        try run("sh", "-c", "cd '\(bag)' && sha256sum --strict --quiet -c manifest-sha256.txt")
    }

    @Test(arguments: ["A.bag", "A.tar"])
    func `a cancelled bag leaves nothing`(name: String) throws {
        let files = FakeFileSystem()
        for index in 0..<30 { files.addFile([UInt8]("\(index)".utf8), [.bytes(noise(1_500_000))]) }
        let scratch = try Scratch()
        let cancellation = CancellationFlag()
        let (report, seal) = try Self.make(
            files,
            at: "\(scratch.path)/\(name)",
            cancellation: cancellation,
            progress: { _ in cancellation.set() }
        )
        #expect(report.ending == .cancelled && seal == nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == [])
    }

    @Test func `a limit seals what there is`() throws {
        let files = FakeFileSystem()
        for index in 0..<30 { files.addFile([UInt8]("\(index)".utf8), [.bytes(noise(10))]) }
        let scratch = try Scratch()
        let (report, seal) = try Self.make(files, at: scratch.path + "/A.bag") {
            $0.maximumFiles = 5
        }
        #expect(report.ending == .limited && seal != nil)
        let custody = String(
            decoding: try Self.content(scratch.path + "/A.bag/data/custody.jsonl"),
            as: UTF8.self
        )
        #expect(custody.contains("\"complete\":false,\"ending\":\"limited\""))
    }

    @Test(arguments: [
        "case", "case.zip", ".bag", "..tar", "-x.bag", "a b.bag", "ä.tar", "a/.hidden.bag",
        String(repeating: "n", count: 61) + ".bag",
    ])
    func `a name that is none is refused`(name: String) {
        #expect(throws: GloveboxError.self) { try EvidenceBag(at: "/tmp/\(name)", signer: nil) }
    }

    @Test func `nothing that exists is touched`() throws {
        let scratch = try Scratch()
        for name in ["A.bag", "A.tar", "B.bag.partial"] {
            try Data("mine".utf8).write(to: URL(fileURLWithPath: "\(scratch.path)/\(name)"))
        }
        try FileManager.default.createSymbolicLink(
            atPath: scratch.path + "/C.tar",
            withDestinationPath: "nowhere"
        )
        for name in ["A.bag", "A.tar", "B.bag", "C.tar"] {
            #expect(throws: GloveboxError.self) {
                try EvidenceBag(at: "\(scratch.path)/\(name)", signer: nil)
            }
        }
    }

    @Test func `a bag that appears meanwhile is not overwritten`() throws {
        let scratch = try Scratch()
        for name in ["A.bag", "A.tar"] {
            let path = "\(scratch.path)/\(name)"
            let files = FakeFileSystem()
            files.addFile([UInt8]("x".utf8), [.bytes(noise(1 << 17))])
            #expect(throws: GloveboxError.self) {
                try Self.make(files, at: path) { _ in
                } progress: { _ in
                    try? Data("mine".utf8).write(to: URL(fileURLWithPath: path))
                }
            }
            #expect(try Self.content(path) == Array("mine".utf8))
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: scratch.path)
        #expect(left.sorted() == ["A.bag", "A.tar"])
    }
}
