import Compression
import Foundation
import Testing

@testable import Casework
@testable import DiskFormats

@Suite struct AttachCompressionTests {
    static func decompress(
        _ input: [UInt8],
        _ method: QCOW2Header.Compression,
        count: Int
    ) throws(DiskError) -> [UInt8] {
        try [UInt8](count: count) { buffer throws(DiskError) in
            let span = input.span
            try SystemDecompressor().decompress(span.raw, method: method, into: &buffer)
        }
    }

    /// Streams of 10,000 times `A` by Python's zlib (window 12, raw) and by zstd -3.
    static let deflated: [UInt8] = [
        0xED, 0xC1, 0x01, 0x0D, 0x00, 0x00, 0x00, 0xC2, 0xA0, 0x6C, 0xEF, 0x5F, 0xCA, 0x1C, 0x6E,
        0x40, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xC0, 0xBF, 0x01,
    ]
    static let zstandard: [UInt8] = [
        0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58, 0x4D, 0x00, 0x00, 0x10, 0x41, 0x41, 0x01, 0x00, 0x0B,
        0x87, 0x07, 0x58,
    ]
    static let content = [UInt8](repeating: 65, count: 10000)

    @Test(arguments: [
        (QCOW2Header.Compression.zlib, deflated), (.zstd, zstandard),
    ])
    func `a stream gives exactly its content, whatever follows it`(
        _ method: QCOW2Header.Compression,
        _ stream: [UInt8]
    ) throws {
        #expect(try Self.decompress(stream, method, count: 10000) == Self.content)
        let padded = stream + [UInt8](repeating: 0xFF, count: 300)
        #expect(try Self.decompress(padded, method, count: 10000) == Self.content)
    }

    @Test(arguments: [
        (QCOW2Header.Compression.zlib, deflated), (.zstd, zstandard),
    ])
    func `a stream that is short, cut or spoiled is damage`(
        _ method: QCOW2Header.Compression,
        _ stream: [UInt8]
    ) {
        let short = #expect(throws: DiskError.self) {
            try Self.decompress(stream, method, count: 10001)
        }
        #expect(short?.reason == .inconsistent)
        for length in 0..<(stream.count - 4) {
            #expect(throws: DiskError.self) {
                try Self.decompress(Array(stream[..<length]), method, count: 10000)
            }
        }
        for index in stream.indices {
            for bit in 0..<8 {
                var spoiled = stream
                spoiled[index] ^= 1 << UInt8(bit)
                _ = try? Self.decompress(spoiled, method, count: 10000)
            }
        }
    }

    @Test func `a zstd frame that wants a window of gigabytes is refused`() {
        // Magic, a frame header without single segment, window descriptor 31 << 3: 2 TiB.
        for window in [UInt8(0xF8), 0xA0, 0xA8] {
            #expect(throws: DiskError.self) {
                try Self.decompress(
                    [0x28, 0xB5, 0x2F, 0xFD, 0x00, window, 1, 0, 0],
                    .zstd,
                    count: 512
                )
            }
        }
    }

    @Test(
        .enabled(if: AttachBench.hasQEMU, "qemu-utils is not installed"),
        arguments: ["zlib", "zstd"]
    )
    func `damaged compressed clusters are errors with their place`(_ type: String) throws {
        let bench = try AttachBench()
        try bench.create("disk", ["-f", "qcow2", "-o", "compression_type=\(type)"], size: 262_144)
        try bench.io("disk", ["write -c -P 65 0 64k", "write -c -P 66 64k 64k"])
        var bytes = try bench.read(bench.path("disk"))
        let sound = try attach(bench.path("disk"), options: AttachOptions(format: .qcow2))
        #expect(try sound.source.run(at: 0, limit: 1 << 20).origin == .computed(layer: 0))
        let last = try #require(bytes.lastIndex { $0 != 0 })
        for index in (last - 40)...last { bytes[index] = 0xFF }
        try bench.write(bytes, bench.path("spoiled"))
        let disk = try attach(bench.path("spoiled"), options: AttachOptions(format: .qcow2))
        let error = #expect(throws: DiskError.self) {
            try disk.source.bytes(at: 65536, count: 65536)
        }
        #expect(error?.structure.contains("qcow2 compressed cluster") == true)
        #expect(error?.offset != nil)
        #expect(try disk.source.bytes(at: 131_072, count: 65536).allSatisfy { $0 == 0 })
    }
}
