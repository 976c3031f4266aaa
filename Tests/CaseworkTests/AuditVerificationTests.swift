import Custody
import Foundation
import Testing

@testable import Casework
@testable import Digests
@testable import JSON

struct AuditVerificationTests {
    private let place: AuditPlace
    private let records: [AuditRecord]
    private let lines: [[UInt8]]

    init() throws {
        let place = try AuditPlace()
        records = try (0..<4).map { try place.append("/file\($0)") }
        lines = try place.lines
        self.place = place
    }

    private func problem(_ changed: [[UInt8]]) throws -> AuditVerification.Problem? {
        try place.replace(changed.joined())
        return try place.verify().problem
    }

    @Test func `a log that nobody touched is sound and holds its anchors`() throws {
        let found = try place.verify(records[0], records[3])
        #expect(found.isSound && found.first == 1 && found.chain.sequence == 4)
        #expect(found.chain.head == records[3].digest)
        #expect(found.anchors.map(\.finding) == [.held, .held])
    }

    @Test func `a line that is removed is named`() throws {
        for index in 0..<3 {
            var changed = lines
            changed.remove(at: index)
            let problem = try problem(changed)
            #expect(problem?.line == UInt64(index + 1))
            #expect(problem?.offset == UInt64(lines[..<index].joined().count))
            let reason = problem?.reason ?? ""
            #expect(reason.contains(index == 0 ? "line 2 is the first one" : "is missing"))
        }
    }

    @Test func `a line that is repeated or moved is named`() throws {
        for index in 0..<4 {
            var repeated = lines
            repeated.insert(lines[index], at: index)
            let problem = try problem(repeated)
            #expect(problem?.line == UInt64(index + 2))
            #expect(problem?.reason.contains("line \(index + 1) stands there") == true)
        }
        for index in 0..<3 {
            var moved = lines
            moved.swapAt(index, index + 1)
            #expect(try problem(moved)?.line == UInt64(index + 1))
        }
    }

    @Test func `every changed byte is found, in the last line by an anchor`() throws {
        for index in lines.indices {
            for position in lines[index].indices {
                var changed = lines
                changed[index][position] ^= 1
                try place.replace(changed.joined())
                let found = try place.verify(records[3])
                #expect(!found.isSound, "line \(index + 1), byte \(position)")
                guard index < 3 else { continue }
                let line = try #require(found.problem?.line, "line \(index + 1), byte \(position)")
                #expect([index + 1, index + 2].contains(Int(line)))
            }
        }
    }

    @Test func `a line that follows and is no line of a log is named as that`() throws {
        var chain = HashChain(sequence: 4, head: records[3].digest)
        let follows = Array(chain.line { $0.member("event", "read") }.dropLast(2))
        for (rest, reason) in [
            ("}}", "more after the end"), (",\"seq\":5}", "twice"), ("}", "time"),
        ] {
            let problem = try problem(lines + [follows + Array((rest + "\n").utf8)])
            #expect(problem?.line == 5)
            #expect(problem?.reason.contains(reason) == true, "\(problem?.reason ?? "none")")
        }
    }

    @Test func `every byte that is cut off is found, whole lines by an anchor`() throws {
        let all = Array(lines.joined())
        for count in all.indices {
            try place.replace(all[..<count])
            let found = try place.verify(records[3])
            #expect(!found.isSound)
            #expect(found.anchors[0].finding == (found.problem == nil ? .missing : .notReached))
            let isWhole = count == 0 || all[count - 1] == 0x0A
            #expect(try place.verify().isSound == isWhole)
        }
    }

    @Test func `a log that is written anew is sound in itself, and shown by an anchor`() throws {
        let other = try AuditPlace()
        for number in 0..<5 { try other.append("/other\(number)") }
        try place.replace(try other.bytes)
        #expect(try place.verify().isSound)
        let found = try place.verify(records[2])
        #expect(!found.isSound && found.problem == nil)
        guard case .differs = found.anchors[0].finding else {
            Issue.record("\(found.anchors[0].finding)")
            return
        }
    }

    @Test func `an anchor is a line, or a bag whose custody is a chain`() throws {
        let record = records[1]
        #expect(try AuditAnchor("2:\(record.digest)").record == record)
        var chain = HashChain()
        let custody =
            chain.line { $0.member("event", "unapproved") }
            + chain.line { json in
                json.member("event", "audit")
                json.member("sequence", record.sequence)
                json.member("sha256", "\(record.digest)")
            } + chain.line { $0.member("event", "sealed") }
        let bag = place.url.appending(path: "case.bag/data")
        try FileManager.default.createDirectory(at: bag, withIntermediateDirectories: true)
        try Data(custody).write(to: bag.appending(path: "custody.jsonl"))
        #expect(try AuditAnchor(place.url.path + "/case.bag").record == record)
        for count in custody.indices where custody[..<count].last != 0x0A {
            #expect(throws: JSONError.self) {
                try AuditAnchor.record(in: Array(custody[..<count]))
            }
        }
        for wrong in ["0:\(record.digest)", "2:abc", place.path, "/dev/null", place.directory] {
            #expect(throws: GloveboxError.self) { try AuditAnchor(wrong) }
        }
    }
}
