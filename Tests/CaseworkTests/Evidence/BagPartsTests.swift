import ArchiveFile
import Digests
import DiskFormats
import Foundation
import JSON
import Testing

@testable import Casework

/// The parts that bags are made of.
@Suite struct BagPartsTests {
    @Test(arguments: [0, 1, 511, (1 << 33) - 1, 1 << 33, 1 << 40, UInt64(Int64.max)] as [UInt64])
    func `Python reads the outer header`(size: UInt64) throws {
        let block = OuterTar.header(name: "CASE-1/data/files.tar", size: size)
        #expect(block.count == 512)
        let said = try run(
            "python3",
            "-c",
            """
            import sys, tarfile
            info = tarfile.TarInfo.frombuf(bytes.fromhex(sys.argv[1]), "utf-8", "strict")
            print(info.name, info.size, oct(info.mode), info.uid, info.gid, info.mtime, info.type)
            """,
            hex(block)
        )
        #expect(said == "CASE-1/data/files.tar \(size) 0o644 0 0 0 b'0'\n")
    }

    @Test func `an outer header is these bytes and no others`() {
        let block = OuterTar.header(name: "A/bagit.txt", size: 54)
        let text = String(decoding: block, as: UTF8.self)
        let fields =
            "A/bagit.txt" + String(repeating: "\0", count: 89)
            + "0000644\u{0}0000000\u{0}0000000\u{0}00000000066\u{0}00000000000\u{0}"
        #expect(text.hasPrefix(fields))
        #expect(block[156] == UInt8(ascii: "0"))
        #expect(block[157..<257].allSatisfy { $0 == 0 })
        #expect(block[257..<265].elementsEqual("ustar\u{0}00".utf8))
        #expect(block[265..<329].allSatisfy { $0 == 0 })
        #expect(block[329..<345].elementsEqual("0000000\u{0}0000000\u{0}".utf8))
        #expect(block[345...].allSatisfy { $0 == 0 })
        #expect(block[154..<156].elementsEqual([0, 0x20]))
        for (size, field) in [
            (UInt64(1 << 33) - 1, hex("77777777777") + "00"), (1 << 33, "800000000000000200000000"),
        ] {
            let block = OuterTar.header(name: "A/b", size: size)
            #expect(hex(Array(block[124..<136])) == field)
        }
        let large = OuterTar.header(name: "A/b", size: 0x1_2345_6789_ABCD)
        #expect(hex(Array(large[124..<136])) == "80000000000123456789abcd")
    }

    @Test func `a digest counts holes as zeros`() {
        let bytes = noise(1_000)
        let ranges: [Range<UInt64>] = [512..<1_024, 4_096..<4_584]
        var digest = ContentDigest(size: 6_000, ranges: ranges)
        // However the bytes come.
        for start in stride(from: 0, to: 1_000, by: 77) {
            let part = Array(bytes[start..<min(start + 77, 1_000)])
            digest.add(unsafe part.span.bytes)
        }
        var whole = [UInt8](repeating: 0, count: 6_000)
        whole.replaceSubrange(512..<1_024, with: bytes[..<512])
        whole.replaceSubrange(4_096..<4_584, with: bytes[512...])
        let content = digest.content(missing: MissingRanges())
        #expect(content.digest == Digest(of: whole))
        #expect(!content.isDataOnly)
    }

    @Test func `holes of more than 16 GiB are not hashed`() {
        let bytes = noise(512)
        let exactly = ContentDigest(size: 16 << 30 | 512, ranges: [0..<512])
        #expect(!exactly.isDataOnly)
        var more = ContentDigest(size: 1 << 62, ranges: [1 << 61..<1 << 61 | 512])
        #expect(more.isDataOnly)
        more.add(unsafe bytes.span.bytes)
        #expect(more.content(missing: MissingRanges()).digest == Digest(of: bytes))
    }

    @Test func `missing ranges are joined, ordered and bounded`() {
        var missing = MissingRanges()
        missing.add([10..<20, 20..<25])
        missing.add([5..<8, 24..<30])
        #expect(missing.ranges == [5..<8, 10..<30])
        missing.add((1...10_000).map { UInt64($0) * 100..<UInt64($0) * 100 + 1 })
        #expect(missing.ranges.count == MissingRanges.countMax)
        #expect(missing.ranges.last?.upperBound == 1_000_001)
        #expect(
            zip(missing.ranges, missing.ranges.dropFirst()).allSatisfy {
                $0.upperBound < $1.lowerBound
            }
        )
    }

    @Test(arguments: [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a&b\"c'd", "a&amp;b&quot;c&#39;d"),
        ("\u{202E}gpj.exe", "\\xe2\\x80\\xaegpj.exe"),
        ("line\nbreak", "line\\x0abreak"),
        ("größe", "größe"),
    ])
    func `names are text in the report`(name: String, shown: String) {
        var html = HTMLText()
        html.name(Array(name.utf8))
        #expect(String(decoding: html.bytes, as: UTF8.self) == "<bdi>\(shown)</bdi>")
    }

    @Test func `names that are not UTF-8 or very long are shown so`() {
        var html = HTMLText()
        html.name([0xFF, 0x3C])
        #expect(String(decoding: html.bytes, as: UTF8.self) == "<bdi>\\xff&lt;</bdi>")
        html = HTMLText()
        html.name([UInt8](repeating: 0x3C, count: 4_000))
        let text = String(decoding: html.bytes, as: UTF8.self)
        #expect(text.contains("4000 bytes") && text.utf8.count < 2_000 && !text.contains("<<"))
    }

    @Test func `the tree of a million files is small, and loses none`() {
        var tree = TakenTree()
        for number in 0..<100_000 {
            let path = "home/u\(number % 97)/d\(number % 1_009)/e\(number % 7)/f\(number)"
            var inode = Inode(number: UInt64(number), type: .regular, permissions: 0o644)
            inode.size = 3
            let item = PlannedItem(root: 0, path: Array(path.utf8), inode: inode)
            let entry = ArchiveEntry(path: item.path, kind: .fifo, permissions: 0)
            var record = ArchiveRecord(item, entry)
            record.content = .init(digest: .zero, isDataOnly: false, missing: MissingRanges())
            tree.add(record, isPartial: false)
            #expect(tree.nodes.count <= TakenTree.nodesMax + 20)
        }
        #expect(tree.nodes[0].beneath == 100_000)
        #expect(tree.nodes[0].bytes == 300_000)
        #expect(tree.nodes.count > 40)
        for node in tree.nodes where !node.children.isEmpty {
            let children = node.children.reduce(UInt64(0)) { $0 + tree.nodes[$1].entries }
            #expect(children <= node.beneath)
        }
    }
}
