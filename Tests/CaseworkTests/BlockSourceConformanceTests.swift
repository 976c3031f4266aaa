import Foundation
import Glibc
import Linux
import TestSupport
import Testing

@testable import Casework
@testable import DiskFormats

/// Every block source keeps the same promises, alone and upon one that fails.
@Suite struct BlockSourceConformanceTests {
    /// A block cache, read through as metadata is.
    private struct CachedSource: BlockSource {
        let cache: BlockCache
        var byteCount: UInt64 { cache.source.byteCount }

        func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
            let count = buffer.byteCount
            // A span cannot be captured together with the buffer that it fills.
            let copy = try cache.withBytes(at: offset, count: count) { span throws(DiskError) in
                unsafe span.withUnsafeBytes { unsafe [UInt8]($0) }
            }
            let span = copy.span
            buffer.copy(span.raw, to: 0)
        }

        func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
            try cache.source.run(at: offset, limit: limit)
        }
    }

    private static func content(_ count: Int) -> [UInt8] {
        var random = Repeatable(state: UInt64(count))
        return random.bytes(count)
    }

    private static func violations(_ source: any BlockSource, _ content: [UInt8]) -> [String] {
        BlockSourceConformance(source, content: content, seed: 1).violations()
    }

    @Test(arguments: [0, 1, 511, 65_536, 1_000_003]) func `memory`(_ count: Int) {
        let content = Self.content(count)
        #expect(Self.violations(MemorySource(content), content) == [])
    }

    @Test(arguments: [1, 511, 65_536, 1_000_003]) func `a file`(_ count: Int) throws {
        let bench = try AttachBench()
        let content = Self.content(count)
        try bench.write(content, bench.path("disk"))
        let disk = try attach(bench.path("disk"), options: AttachOptions(format: .raw))
        #expect(Self.violations(disk.source, content) == [])
    }

    @Test func `a slice`() throws {
        let content = Self.content(1_000_000)
        let slice = try SliceSource(MemorySource(content), start: 4_097, byteCount: 700_001)
        #expect(Self.violations(slice, Array(content[4_097..<704_098])) == [])
    }

    @Test func `a cache`() {
        let content = Self.content(1_000_003)
        let cached = CachedSource(cache: BlockCache(MemorySource(content), capacity: 3))
        #expect(Self.violations(cached, content) == [])
    }

    @Test(
        .enabled(if: AttachBench.hasQEMU, "qemu-utils is not installed"),
        arguments: ["cluster_size=4096", "cluster_size=65536", "extended_l2=on"]
    )
    func `a chain of qcow2`(_ options: String) throws {
        let bench = try AttachBench()
        let test = AttachContentTests.Case(name: "", options: options, writes: ["-c"])
        try AttachContentTests.make(test, bench, seed: 3)
        let content = try bench.expected("disk")
        let disk = try attach(bench.path("disk"), options: AttachOptions(format: .qcow2))
        #expect(Self.violations(disk.source, content) == [])
    }

    @Test func `a source upon a disk with bad sectors fails there and is right elsewhere`() throws {
        let content = Self.content(1_000_000)
        var random = Repeatable(state: 5)
        let faulty = FaultyDisk(MemorySource(content), sectors: 12, &random)
        let whole = BlockSourceConformance(faulty, content: content, seed: 6)
        #expect(whole.faults(faulty.isFaulty) == [])
        let slice = try SliceSource(faulty, start: 1_000, byteCount: 900_000)
        let part = BlockSourceConformance(slice, content: Array(content[1_000..<901_000]), seed: 7)
        #expect(
            part.faults { faulty.isFaulty($0.lowerBound + 1_000..<$0.upperBound + 1_000) } == []
        )
    }

    @Test func `a cache remembers no error and no page of zeros in its place`() throws {
        let content = Self.content(1_000_000)
        let faulty = FaultyDisk(MemorySource(content), [.unreadable(300_000..<300_512)])
        let cached = CachedSource(cache: BlockCache(faulty, capacity: 4))
        let bad: Range<UInt64> = 300_000..<300_512
        let conformance = BlockSourceConformance(cached, content: content, seed: 8)
        for _ in 0..<2 {
            #expect(conformance.faults { $0.overlaps(bad) } == [])
        }
    }

    @Test func `a file that is shorter than it was is an error past its new end`() throws {
        let bench = try AttachBench()
        let content = Self.content(200_000)
        try bench.write(content, bench.path("disk"))
        let disk = try attach(bench.path("disk"), options: AttachOptions(format: .raw))
        try FileDescriptor.open(bench.path("disk"), O_WRONLY).truncate(to: 100_000)
        let conformance = BlockSourceConformance(disk.source, content: content, seed: 9)
        #expect(conformance.faults { $0.upperBound > 100_000 } == [])
    }

    @Test func `a file that fails in places is right in all others`() throws {
        let bench = try AttachBench()
        let content = Self.content(400_000)
        try bench.write(content, bench.path("disk"))
        let bad: Range<UInt64> = 70_000..<70_512
        var options = AttachOptions(format: .raw)
        options.faults = { _ in
            ReadFaults { offset, count in
                if bad.overlaps(offset..<(offset + UInt64(count))) { return .fails(errno: EIO) }
                return offset % 3 == 0 ? .delivers(atMost: 1 + count / 2) : nil
            }
        }
        let disk = try attach(bench.path("disk"), options: options)
        let conformance = BlockSourceConformance(disk.source, content: content, seed: 10)
        #expect(conformance.faults { $0.overlaps(bad) } == [])
    }

    @Test func `a size that is a lie is found out by reading`() {
        let content = Self.content(100_000)
        let lying = FaultyDisk(MemorySource(content), [.claims(150_000)])
        #expect(lying.byteCount == 150_000)
        #expect(throws: DiskError.self) { try lying.bytes(at: 99_999, count: 2) }
    }

    @Test func `the suite itself notices zeros, gaps, shifts and short sizes`() {
        struct Wrong: BlockSource {
            let base: MemorySource
            var byteCount: UInt64
            var shift: UInt64 = 0
            var zeroesAt: UInt64?
            var runLength: UInt64 = .max

            func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
                try base.read(into: &buffer, at: offset + shift)
                guard let zeroesAt else { return }
                let range = offset..<(offset + UInt64(buffer.byteCount))
                if range.contains(zeroesAt) { buffer.zero(1, at: Int(zeroesAt - offset)) }
            }

            func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
                try checkRange(offset, 1)
                return BlockRun(length: runLength, origin: .zeros(layer: nil))
            }
        }
        let content = Self.content(50_000).map { $0 | 1 }
        let base = MemorySource(content)
        func found(_ wrong: Wrong) -> Bool { !Self.violations(wrong, content).isEmpty }
        #expect(found(Wrong(base: base, byteCount: 50_000, zeroesAt: 12_345)))
        #expect(found(Wrong(base: base, byteCount: 50_000, shift: 1)))
        #expect(found(Wrong(base: base, byteCount: 49_999)))
        #expect(found(Wrong(base: base, byteCount: 50_000)))
        #expect(found(Wrong(base: base, byteCount: 50_000, runLength: 0)))
        #expect(found(Wrong(base: base, byteCount: 50_000, runLength: 10)))
    }
}
