import Foundation
import TestSupport
import Testing

@testable import Casework
@testable import DiskFormats

@Suite(.enabled(if: AttachBench.hasQEMU, "qemu-utils is not installed"))
struct AttachContentTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let name: String
        let options: String
        var size = 2_000_384
        var baseSize: Int? = 2_000_384
        var baseFormat = "raw"
        var writes: [String] = []
        var testDescription: String { name }
    }

    static let clusterSizes = (9...21).map { bits in
        Case(name: "clusters of \(1 << bits)", options: "cluster_size=\(1 << bits)")
    }
    static let features: [Case] = [
        Case(name: "compat 0.10", options: "compat=0.10"),
        Case(name: "compat 0.10, 4k clusters", options: "compat=0.10,cluster_size=4096"),
        Case(name: "no backing file", options: "compat=1.1", baseSize: nil),
        Case(name: "backing shorter", options: "compat=1.1", baseSize: 1_234_944),
        Case(name: "backing of odd length", options: "compat=1.1", baseSize: 1_234_567),
        Case(name: "backing longer", options: "compat=1.1", baseSize: 2_900_000),
        Case(name: "qcow2 base", options: "compat=1.1", baseFormat: "qcow2"),
        Case(
            name: "qcow2 base, shorter",
            options: "compat=1.1",
            baseSize: 1_000_448,
            baseFormat: "qcow2"
        ),
        Case(name: "extended L2", options: "extended_l2=on"),
        Case(name: "extended L2, 16k", options: "extended_l2=on,cluster_size=16k"),
        Case(name: "extended L2, 2M", options: "extended_l2=on,cluster_size=2M"),
        Case(name: "extended L2 without base", options: "extended_l2=on", baseSize: nil),
        Case(name: "refcount bits", options: "refcount_bits=1"),
        Case(name: "lazy refcounts", options: "lazy_refcounts=on"),
        Case(name: "zlib", options: "compression_type=zlib", writes: ["-c"]),
        Case(name: "zstd", options: "compression_type=zstd", writes: ["-c"]),
        Case(name: "zstd, 512", options: "compression_type=zstd,cluster_size=512", writes: ["-c"]),
        Case(
            name: "zlib, 2M",
            options: "compression_type=zlib,cluster_size=2M",
            size: 6_291_456,
            writes: ["-c"]
        ),
        Case(
            name: "extended L2 with zstd",
            options: "extended_l2=on,compression_type=zstd",
            writes: ["-c"]
        ),
        Case(name: "metadata preallocated", options: "preallocation=metadata", baseSize: nil),
    ]

    /// Makes a base and an overlay named `disk`, and scatters writes over it.
    static func make(_ test: Case, _ bench: AttachBench, seed: UInt64) throws {
        var random = Repeatable(state: seed)
        var options = ["-f", "qcow2", "-o", test.options]
        if let size = test.baseSize {
            let raw = bench.base("raw")
            try bench.write(random.bytes(size), raw)
            if test.baseFormat == "qcow2" {
                try bench.run(
                    "qemu-img",
                    ["convert", "-f", "raw", "-O", "qcow2", "-c", raw, bench.base("base")]
                )
            } else {
                try FileManager.default.moveItem(atPath: raw, toPath: bench.base("base"))
            }
            options += ["-b", bench.base("base"), "-F", test.baseFormat]
        }
        try bench.create("disk", options, size: test.size)
        try bench.io("disk", writes(test, &random))
    }

    private static func writes(_ test: Case, _ random: inout Repeatable) -> [String] {
        let cluster = clusterSize(test.options)
        let aligned = ["write -c"]
        var commands: [String] = []
        for index in 0..<40 {
            var kinds = ["write", "write", "write", "discard"]
            if !test.options.contains("compat=0.10") { kinds += ["write -z", "write -z -u"] }
            if test.writes.contains("-c") { kinds += ["write -c", "write -c", "write -c"] }
            let kind = kinds.randomElement(using: &random) ?? "write"
            var offset = Int.random(in: 0..<(test.size / 512 - 1), using: &random) * 512
            var length = min(
                Int.random(in: 1...(index % 4 == 0 ? 600 : 20), using: &random) * 512,
                test.size - offset
            )
            if aligned.contains(kind) {
                offset = offset / cluster * cluster
                length = min(max(1, length / cluster) * cluster, test.size - offset)
            }
            let pattern = kind.contains("-z") || kind == "discard" ? "" : "-P \(index + 1) "
            commands.append("\(kind) \(pattern)\(offset) \(length)")
        }
        return commands
    }

    private static func clusterSize(_ options: String) -> Int {
        let value = options.split(separator: ",").first { $0.hasPrefix("cluster_size=") }
        switch value?.dropFirst("cluster_size=".count) {
        case nil: return 65536
        case "16k": return 16384
        case "2M": return 2 << 20
        case let text?: return Int(text) ?? 65536
        }
    }

    @Test(arguments: clusterSizes + features)
    func `content and map are those of qemu-img`(_ test: Case) throws {
        for seed in UInt64(1)...2 {
            let bench = try AttachBench()
            try Self.make(test, bench, seed: seed)
            try Self.compare(bench, "disk", seed: seed)
        }
    }

    @Test func `a chain of three reads as qemu-img reads it`() throws {
        let bench = try AttachBench()
        try Self.make(
            Case(name: "", options: "cluster_size=4096", baseSize: 1_500_160),
            bench,
            seed: 7
        )
        try FileManager.default.moveItem(atPath: bench.path("disk"), toPath: bench.base("middle"))
        try bench.create(
            "disk",
            ["-f", "qcow2", "-b", "../_base/middle", "-F", "qcow2"],
            size: 8 << 20
        )
        try bench.io("disk", ["write -P 9 100k 300k", "write -z 1M 128k", "write -P 8 7M 3k"])
        let disk = try Self.compare(bench, "disk", seed: 3)
        #expect(disk.layers.map(\.format) == [.qcow2, .qcow2, .raw])
        #expect(disk.layers.map(\.virtualSize) == [8 << 20, 2_000_384, 1_500_160])
    }

    @Test func `internal snapshots are left alone`() throws {
        let bench = try AttachBench()
        try Self.make(Case(name: "", options: "compat=1.1"), bench, seed: 11)
        try bench.run("qemu-img", ["snapshot", "-c", "before", "disk"])
        try bench.io("disk", ["write -P 77 0 1M", "discard 2M 64k"])
        try Self.compare(bench, "disk", seed: 4)
    }

    @Test func `a converted compressed image reads as its source`() throws {
        let bench = try AttachBench()
        var random = Repeatable(state: 5)
        let text = (0..<400_000).map { _ in UInt8.random(in: 97...101, using: &random) }
        try bench.write(text + random.bytes(100_352), bench.path("raw"))
        for type in ["zlib", "zstd"] {
            try bench.run(
                "qemu-img",
                [
                    "convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=\(type)",
                    "raw", type,
                ]
            )
            try Self.compare(bench, type, seed: 5)
        }
    }

    @Test func `a raw image is read as it is`() throws {
        let bench = try AttachBench()
        var random = Repeatable(state: 6)
        let bytes = random.bytes(70_001)
        try bench.write(bytes, bench.path("disk"))
        let disk = try attach(bench.path("disk"))
        #expect(disk.format == .raw && disk.warnings.isEmpty)
        #expect(try disk.source.bytes(at: 0, count: bytes.count) == bytes)
        #expect(throws: DiskError.self) { try disk.source.bytes(at: 70_000, count: 2) }
        #expect(disk.hostFile(0) != nil && disk.hostFile(1) == nil)
    }

    /// Reads the image whole and in random pieces, and follows its runs.
    @discardableResult
    static func compare(_ bench: AttachBench, _ name: String, seed: UInt64) throws -> AttachedDisk {
        let expected = try bench.expected(name)
        let disk = try attach(bench.path(name), options: AttachOptions(format: .qcow2))
        let count = Int(disk.source.byteCount)
        #expect(count == expected.count)
        // Compared outside of the expectation, which would print both in full.
        let isSame = try disk.source.bytes(at: 0, count: count) == expected
        #expect(isSame)
        var random = Repeatable(state: seed)
        for _ in 0..<100 {
            let offset = Int.random(in: 0..<count, using: &random)
            let length = min(count - offset, Int.random(in: 1...100_000, using: &random))
            let piece = try disk.source.bytes(at: UInt64(offset), count: length)
            let isSame = piece == Array(expected[offset..<(offset + length)])
            #expect(isSame, "\(length) at \(offset)")
        }
        try compareMap(bench, name, disk, expected)
        return disk
    }

    private struct Segment: Decodable {
        let start: UInt64
        let length: UInt64
        let depth: Int
        let zero: Bool
        let data: Bool
        let offset: UInt64?
    }

    private static func compareMap(
        _ bench: AttachBench,
        _ name: String,
        _ disk: AttachedDisk,
        _ expected: [UInt8]
    ) throws {
        let json = try bench.run("qemu-img", ["map", "-f", "qcow2", "--output=json", name])
        let map = try JSONDecoder().decode([Segment].self, from: json)
        var position: UInt64 = 0
        for segment in map {
            while position < segment.start + segment.length {
                let left = segment.start + segment.length - position
                let run = try disk.source.run(at: position, limit: left)
                #expect(run.length >= 1 && run.length <= left)
                switch run.origin {
                case .file(let layer, let offset):
                    #expect(layer == segment.depth)
                    #expect(segment.offset.map { $0 + position - segment.start } == offset)
                    let file = try #require(disk.hostFile(layer))
                    let source = FileSource(file, byteCount: .max / 2, name: "")
                    let content = try source.bytes(at: offset, count: Int(run.length))
                    let isSame =
                        content[...] == expected[Int(position)..<Int(position + run.length)]
                    #expect(isSame, "\(run)")
                case .zeros(let layer?):
                    #expect(segment.zero && !segment.data && layer == segment.depth)
                case .zeros(nil): #expect(segment.zero && !segment.data)
                case .computed(let layer):
                    #expect(segment.data && segment.offset == nil && layer == segment.depth)
                }
                position += run.length
            }
        }
        #expect(position == disk.source.byteCount)
    }
}
