import DiskFormats
import Foundation
import JSON
import Testing

@testable import Casework
@testable import GloveboxCommands

@Suite struct JSONTextTests {
    @Test func `names of any bytes survive in JSON that Foundation reads`() throws {
        let names: [[UInt8]] = [
            [UInt8]("plain".utf8), [UInt8]("quote\"back\\slash".utf8), [UInt8]("\n\t\u{1B}".utf8),
            [UInt8]("🧤\u{202E}\u{9B}".utf8), [0xFF, 0x61, 0x0A], [],
        ]
        for name in names {
            var json = JSONText()
            json.object { json in
                json.member("name", base64: "name_base64", name)
                json.member("size", UInt64.max)
                json.key("list")
                json.array { json in
                    json.string("a")
                    json.object { $0.member("b", true) }
                }
            }
            let read = try JSONSerialization.jsonObject(with: Data(json.bytes)) as? [String: Any]
            let object = try #require(read)
            if let exact = object["name_base64"] as? String {
                #expect(Data(base64Encoded: exact).map(Array.init) == name)
            } else {
                #expect((object["name"] as? String).map { Array($0.utf8) } == name)
            }
            #expect(!json.bytes.contains { $0 < 0x20 || $0 == 0x7F })
            #expect((object["list"] as? [Any])?.count == 2)
        }
    }

    @Test func `base64 is that of Foundation for every length`() {
        for length in 0..<20 {
            let bytes = (0..<length).map { UInt8($0 * 37 % 256) }
            var text: [UInt8] = []
            Base64.append(bytes, to: &text)
            #expect(String(decoding: text, as: UTF8.self) == Data(bytes).base64EncodedString())
        }
    }
}

@Suite struct GlobTests {
    @Test(arguments: [
        ("*.log", "a.log", true), ("*.log", "a.log.1", false), ("*", "", true),
        ("a*b*c", "axxbyyc", true),
        ("a?c", "abc", true), ("a?c", "ac", false), ("[a-c]x", "bx", true),
        ("[!a-c]x", "bx", false),
        ("[]x", "[]x", true), (#"\*"#, "*", true), (#"\*"#, "x", false),
        ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaa", false),
    ])
    func `a pattern matches as fnmatch does`(pattern: String, name: String, fits: Bool) {
        #expect(Glob([UInt8](pattern.utf8)).matches([UInt8](name.utf8)) == fits)
    }
}

@Suite struct HumanSizeTests {
    @Test(
        arguments: [
            (0, "0 B"), (999, "999 B"), (1024, "1.00 KiB"), (5 << 30, "5.00 GiB"),
            (1 << 40, "1.00 TiB"),
            (123_456_789, "118 MiB"),
        ] as [(UInt64, String)]
    )
    func `sizes have three digits`(bytes: UInt64, text: String) {
        #expect(humanSize(bytes) == text)
    }
}

@Suite struct ProgressLineTests {
    @Test func `progress tells how much, how fast and how long`() {
        var progress = Extraction.Progress()
        progress.bytes = 64 << 20
        progress.files = 7
        let known = ProgressLine.line(progress, of: 192 << 20, after: 2)
        #expect(known == "64.0 MiB of 192 MiB, 7 files, 32.0 MiB/s, 4 s left")
        #expect(ProgressLine.line(progress, of: nil, after: 2) == "64.0 MiB, 7 files, 32.0 MiB/s")
        let wrong = ProgressLine.line(progress, of: 1, after: 2)
        #expect(wrong == "64.0 MiB, 7 files, 32.0 MiB/s", "an estimate that was too low is dropped")
    }
}
