import Testing

@testable import Casework

/// Which paths a scope covers.
struct ScopeTests {
    private let root = GuestPath.VolumeName(disk: "disk", volume: "p1")

    private func tree(_ pattern: String, _ path: String) throws -> Bool {
        try bytes(pattern, Array(path.utf8))
    }

    private func bytes(_ pattern: String, _ path: [UInt8]) throws -> Bool {
        let scope = Scope(patterns: [try ScopePattern(pattern)])
        return scope.covers(volume: root, path: nil, guestPath: path)
    }

    @Test(arguments: [
        ("/", "/"), ("/", "/etc/shadow"), ("/**", "/a/b"), ("/home/alice", "/home/alice"),
        ("/home/alice", "/home/alice/docs/a.txt"), ("/home/*/docs", "/home/bob/docs/x"),
        ("/var/log/*.gz", "/var/log/.gz"), ("/var/log/*.gz", "/var/log/a.b.gz"),
        ("/var/log/a?c", "/var/log/abc"), ("/**/passwd", "/passwd"),
        ("/**/passwd", "/etc/a/b/passwd/x"), ("/a/**/b/**/c", "/a/b/x/b/y/c"),
        ("/a/**/b", "/a/b"), ("/a/**", "/a"), ("/*a*b*", "/xxaxxbxx"), ("/*", "/anything/below"),
        ("/a\\*b", "/a*b"), ("/a\\?b", "/a?b"), ("/a\\\\b", "/a\\b"), ("/a\\x2ab", "/a*b"),
        ("/[ab]", "/[ab]"), ("/a/**/**/b", "/a/b"), ("/.*", "/.ssh/id"), ("/***", "/x"),
        ("/home/\u{430}lice", "/home/\u{430}lice"),
    ])
    func `these are covered`(pattern: String, path: String) throws {
        #expect(try tree(pattern, path))
    }

    @Test(arguments: [
        ("/home/alice", "/"), ("/home/alice", "/home"), ("/home/alice", "/home/alice2"),
        ("/home/alice", "/home/Alice"), ("/home/alice", "/x/home/alice"),
        ("/home/alice", "/home/alice/../bob"), ("/home/alice", "home/alice"),
        ("/home/alice", "/home/\u{430}lice"), ("/caf\u{E9}", "/cafe\u{301}"),
        ("/\u{212A}", "/K"), ("/home/*/docs", "/home/docs"), ("/home/*/docs", "/home/a/b/docs"),
        ("/var/log/*.gz", "/var/log/sub/a.gz"), ("/var/log/*.gz", "/var/log/a.gzip"),
        ("/a?c", "/ac"), ("/a?c", "/a\u{E9}c"), ("/a?c", "/a/c"), ("/**/passwd", "/etc/passwd2"),
        ("/a/**/b/**/c", "/a/c/b"), ("/a\\*b", "/aXb"), ("/a\\?b", "/aXb"), ("/[ab]", "/a"),
        ("/a*", "/b/a"), ("/*a*b", "/xbxa"), ("disk:p1:/etc", "/etc"),
    ])
    func `these are not covered`(pattern: String, path: String) throws {
        #expect(try !tree(pattern, path))
    }

    @Test func `one question mark is one byte and bytes need no encoding`() throws {
        #expect(try bytes("/a?c", [0x2F, 0x61, 0xFF, 0x63]))
        #expect(try bytes("/\\xff\\xFE", [0x2F, 0xFF, 0xFE, 0x2F, 0x80]))
        #expect(try !bytes("/\\xff", [0x2F, 0xC3, 0xBF]))
    }

    @Test(arguments: [
        ("disk:p1:/etc", "disk", "p1", true), ("disk:p1:/etc", "disk", "p2", false),
        ("disk:p1:/etc", "disk.local", "p1", false), ("*:*:/etc", "disk.local", "", true),
        ("disk.local::/etc", "disk.local", "", true),
        ("disk.local::/etc", "disk.local", "p1", false),
        ("disk:*:/etc", "disk", "vg/root", true), ("disk:vg/root:/etc", "disk", "vg/root", true),
        ("a:b:p1:/etc", "a:b", "p1", true), ("d*:p1:/etc", "disk", "p1", false),
        ("caf\u{E9}:p1:/etc", "cafe\u{301}", "p1", false), ("/etc", "disk", "p1", false),
    ])
    func `a volume is named literally or by a star`(
        pattern: String,
        disk: String,
        volume: String,
        covered: Bool
    ) throws {
        let scope = Scope(patterns: [try ScopePattern(pattern)])
        let name = GuestPath.VolumeName(disk: disk, volume: volume)
        let path = Array("/etc/fstab".utf8)
        #expect(scope.covers(volume: name, path: path, guestPath: nil) == covered)
        #expect(!scope.covers(volume: name, path: nil, guestPath: nil))
    }

    @Test(arguments: [
        "", "etc", "disk:/etc", ":p1:/etc", "disk", "//", "/a//b", "/a/", "/./a", "/a/..", "/../a",
        "/\\x2e\\x2e/a", "/\\x2e", "/a\\", "/a\\x", "/a\\x2", "/a\\xg0", "/a\\n", "/a\\x00",
        "/a\\x2fb", "/a\u{1B}[2J", "/a\nb", "/\u{202E}cod", "/\u{200B}",
        "/"
            + String(
                repeating: "a",
                count: 4096
            ),
    ])
    func `these are no patterns`(text: String) {
        #expect(throws: ScopePattern.Failure.self) { try ScopePattern(text) }
    }

    @Test func `letters that are not ASCII are spelled out`() throws {
        #expect(try ScopePattern("/home/\u{430}lice").spelledOut == "/home/\\xd0\\xb0lice")
        #expect(try ScopePattern("/home/alice").spelledOut == nil)
    }

    /// Each pattern forces as many steps back as there can be; a search that tried all ways to divide
    /// the path would not come to an end.
    @Test(
        .timeLimit(.minutes(1)),
        arguments: [
            (String(repeating: "/**/a", count: 500) + "/b", String(repeating: "/a", count: 2000)),
            (
                String(repeating: "/**/*a*", count: 400) + "/b",
                String(repeating: "/aaaa", count: 1000)
            ),
            (
                "/" + String(repeating: "*a", count: 2000) + "b",
                "/" + String(repeating: "a", count: 4000)
            ),
            (String(repeating: "/**", count: 1300) + "/b", String(repeating: "/a", count: 2000)),
        ]
    )
    func `hostile patterns take bounded time`(pattern: String, path: String) throws {
        #expect(try !tree(pattern, path))
    }
}
