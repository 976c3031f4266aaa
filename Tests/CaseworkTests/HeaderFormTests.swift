import ArchiveFile
import Testing

struct HeaderFormTests {
    private static let paths = [
        "small/message-001076.eml", "small/message-001077.eml", "a", "a b/c", "x/y/z=1",
        "deep/.hidden",
        ".hidden/file", "./dot", "a//b", "dir/", "0/0", "names/with \"quotes\" and \\",
        "names/\u{e9}", "names/e\u{301}", "names/tab\there",
        String(repeating: "n", count: 79), String(repeating: "n", count: 80),
        String(repeating: "n", count: 81), String(repeating: "d", count: 75) + "/f",
        "d/" + String(repeating: "n", count: 98), String(repeating: "d/", count: 70) + "f",
    ]
    // libarchive passes over as many zeros as a file is long, so huge files are few here.
    private static let sizes: [UInt64] = [0, 1, 512, 5_000, 1 << 20]
    private static let seconds: [Int64] = [
        -1, 0, 999_999_999, 1_000_000_000, 1_750_001_076, 0x7FFF_FFFE, 0x7FFF_FFFF, 8_589_934_592,
        10_000_000_000,
    ]
    private static let nanoseconds: [UInt32] = [0, 1, 9, 10, 120_000_000, 126_692_321, 999_999_999]

    @Test
    func `every header is the one that libarchive makes, however many came before it`() throws {
        var fast = try ArchiveEncoder()
        var full = try ArchiveEncoder()
        var compared = 0
        for (permissions, user) in [(0o644, 0), (0o4755, 1_000), (0o600, 3_000_000)] {
            for path in Self.paths {
                for size in Self.sizes {
                    for seconds in Self.seconds {
                        for nanoseconds in Self.nanoseconds {
                            let entry = ArchiveEntry(
                                path: Array(path.utf8),
                                kind: .file(size: size, dataRanges: nil),
                                permissions: UInt16(permissions),
                                user: UInt32(user),
                                group: 100,
                                modified: (seconds, nanoseconds)
                            )
                            let made = try fast.withHeader(of: entry, bytes)
                            let expected = try full.withFullHeader(of: entry, bytes)
                            try #require(
                                made == expected,
                                "\(path) \(size) \(seconds) \(nanoseconds)"
                            )
                            compared += 1
                        }
                    }
                }
            }
        }
        #expect(compared == 3 * Self.paths.count * 5 * 9 * 7)
    }

    @Test
    func `what is not ordinary between two files leaves the second as it is`() throws {
        var fast = try ArchiveEncoder()
        var full = try ArchiveEncoder()
        let time: (Int64, UInt32) = (1_750_001_076, 126_692_321)
        let attribute = (name: Array("user.note".utf8), value: Array("x".utf8))
        let kinds: [ArchiveEntry.Kind] = [
            .file(size: 1, dataRanges: nil), .directory, .file(size: 7_000, dataRanges: [0..<512]),
            .symbolicLink(target: [0x61]), .hardLink(path: [0x61]), .fifo,
            .device(isBlock: true, major: 8, minor: 1), .file(size: 2, dataRanges: nil),
            .file(size: (1 << 33) - 1, dataRanges: nil), .file(size: 1 << 33, dataRanges: nil),
        ]
        for attributes in [[], [attribute], []] {
            for kind in kinds {
                let entry = ArchiveEntry(
                    path: Array("dir/name".utf8),
                    kind: kind,
                    permissions: 0o644,
                    modified: time,
                    attributes: attributes
                )
                let made = try fast.withHeader(of: entry, bytes)
                #expect(try made == full.withFullHeader(of: entry, bytes), "\(kind)")
            }
        }
    }

    private func bytes(_ span: RawSpan) -> [UInt8] {
        unsafe span.withUnsafeBytes { unsafe [UInt8]($0) }
    }
}
