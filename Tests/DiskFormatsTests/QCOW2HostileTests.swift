import Testing

@testable import DiskFormats

@Suite(.enabled(if: QCOW2Tool.isThere, "qemu-utils is not installed"))
struct QCOW2HostileTests {
    static let plain = Result {
        try QCOW2Tool.sample(
            "cluster_size=512",
            size: 65536,
            [
                "write -P 65 0 2k", "write -P 66 9k 512", "write -z 16k 2k", "write -P 67 40k 3k",
            ]
        )
    }
    static let extended = Result {
        try QCOW2Tool.sample(
            "cluster_size=16k,extended_l2=on",
            size: 524_288,
            [
                "write -P 65 0 2k", "write -P 66 9k 512", "write -z 32k 3k", "write -P 67 200k 60k",
            ]
        )
    }
    static let old = Result {
        try QCOW2Tool.sample(
            "cluster_size=1k,compat=0.10",
            size: 65536,
            [
                "write -P 65 0 2k", "write -P 66 9k 1k", "write -P 67 40k 20k",
            ]
        )
    }

    /// Offset, width and name of the header's fields, by QEMU `docs/interop/qcow2.txt`.
    static let fields: [(offset: Int, width: Int, name: String)] = [
        (0, 4, "magic"), (4, 4, "version"), (8, 8, "backing_file_offset"),
        (16, 4, "backing_file_size"), (20, 4, "cluster_bits"), (24, 8, "size"),
        (32, 4, "crypt_method"), (36, 4, "l1_size"), (40, 8, "l1_table_offset"),
        (48, 8, "refcount_table_offset"), (56, 4, "refcount_table_clusters"),
        (60, 4, "nb_snapshots"), (64, 8, "snapshots_offset"), (72, 8, "incompatible_features"),
        (80, 8, "compatible_features"), (88, 8, "autoclear_features"), (96, 4, "refcount_order"),
        (100, 4, "header_length"), (104, 1, "compression_type"),
    ]

    static func spoiled(_ bytes: [UInt8], at offset: Int, width: Int, _ value: UInt64) -> [UInt8] {
        var bytes = bytes
        for index in 0..<width {
            bytes[offset + index] = UInt8(
                truncatingIfNeeded: value >> UInt64(8 * (width - 1 - index))
            )
        }
        return bytes
    }

    static func value(_ bytes: [UInt8], at offset: Int, width: Int = 8) -> UInt64 {
        bytes[offset..<(offset + width)].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Whether no byte that was read differs from what qemu-img reads of the sound image.
    static func isHonest(_ outcome: QCOW2Tool.Outcome, _ content: [UInt8]) -> Bool {
        switch outcome {
        case .refused: true
        case .read(let bytes): bytes == content
        case .partly(let pieces):
            pieces.indices.allSatisfy { index in
                guard let piece = pieces[index] else { return true }
                let size = (content.count + pieces.count - 1) / pieces.count
                return piece == content[(index * size)..<min(content.count, (index + 1) * size)]
            }
        }
    }

    @Test(arguments: ["plain", "extended", "old"])
    func `the samples read as qemu-img reads them`(_ name: String) throws {
        let sample = try Self.sample(name)
        #expect(QCOW2Tool.outcome(sample.bytes) == .read(sample.content))
    }

    static func sample(_ name: String) throws -> QCOW2Tool.Sample {
        switch name {
        case "extended": try extended.get()
        case "old": try old.get()
        default: try plain.get()
        }
    }

    @Test(arguments: ["plain", "extended", "old"])
    func `a spoiled header field never traps and never gives wrong bytes`(_ name: String) throws {
        let sample = try Self.sample(name)
        for field in Self.fields where name != "old" || field.offset < 72 {
            let top = UInt64.max >> UInt64(64 - 8 * field.width)
            let good = Self.value(sample.bytes, at: field.offset, width: field.width)
            for value in [
                0, 1, good &+ 1, good &- 1, top, top >> 1, top >> 1 + 1, good << 1, good >> 1,
            ] {
                let bytes = Self.spoiled(sample.bytes, at: field.offset, width: field.width, value)
                let outcome = QCOW2Tool.outcome(bytes)
                // Another size is another image, and equally valid.
                guard field.name != "size" else { continue }
                // So is what a spoiled field makes of some; then QEMU has to see the same in it.
                let isHonest =
                    Self.isHonest(outcome, sample.content)
                    || (try? QCOW2Tool.content(of: bytes)).map { Self.isHonest(outcome, $0) }
                        == true
                #expect(isHonest, "\(field.name) = \(value)")
            }
        }
    }

    @Test(arguments: ["plain", "extended", "old"])
    func `every truncation is an error or leaves out what is missing`(_ name: String) throws {
        let sample = try Self.sample(name)
        let data = sample.bytes.count
        // Every byte where each is refused at once, then a prime stride through tables and data.
        let l1 = Int(Self.value(sample.bytes, at: 40))
        let l2 = Int(Self.value(sample.bytes, at: l1) & 0x00FF_FFFF_FFFF_FE00)
        let inTables = Soak.isOn ? Array(l1..<(l1 + 1024)) + Array(l2..<(l2 + 1024)) : []
        let step = name == "extended" ? 4093 : Soak.isOn ? 7 : 61
        let inHeader = Array(0..<min(2048, l1 + 8))
        let lengths = inHeader + Array(stride(from: l1, to: data, by: step)) + inTables
        for length in lengths {
            let outcome = QCOW2Tool.outcome(Array(sample.bytes[..<length]), piece: 4096)
            if case .read(let bytes) = outcome {
                Issue.record("\(length) of \(data) bytes gave \(bytes.count) bytes")
            }
            let isHonest = Self.isHonest(outcome, sample.content)
            #expect(isHonest, "\(length) bytes")
        }
    }

    @Test(arguments: ["plain", "extended"])
    func `table entries that point anywhere never trap`(_ name: String) throws {
        let sample = try Self.sample(name)
        let l1 = Int(Self.value(sample.bytes, at: 40))
        let l2 = Int(Self.value(sample.bytes, at: l1) & 0x00FF_FFFF_FFFF_FE00)
        let size = UInt64(sample.bytes.count)
        let offsets: [UInt64] = [
            0, 1, 511, 512, UInt64(l1), UInt64(l2), size - 1, size, size + 512, 1 << 55, .max,
            0x00FF_FFFF_FFFF_FE00, 0x00FF_FFFF_FFFF_FE00 & ~0xFFFF,
        ]
        let flags: [UInt64] = [0, 1, 1 << 62, 1 << 63, 3 << 62, 1 << 61, 1 << 56, 0x100]
        for place in [l1, l1 + 8, l2, l2 + 8, l2 + 16] {
            for offset in offsets {
                for flag in flags {
                    let entry = offset | flag
                    let bytes = Self.spoiled(sample.bytes, at: place, width: 8, entry)
                    _ = QCOW2Tool.outcome(bytes, piece: 16384)
                }
            }
        }
    }

    @Test func `a data cluster past the end of the file is an error, not zeros`() throws {
        let sample = try Self.plain.get()
        let l1 = Int(Self.value(sample.bytes, at: 40))
        let l2 = Int(Self.value(sample.bytes, at: l1) & 0x00FF_FFFF_FFFF_FE00)
        let past = UInt64((sample.bytes.count + 511) / 512 * 512 + 4096) | 1 << 63
        let bytes = Self.spoiled(sample.bytes, at: l2 + 8, width: 8, past)
        let file = MemorySource(bytes)
        let disk = try QCOW2Image(
            QCOW2Header(reading: file),
            file: file,
            backing: nil,
            decompressor: nil
        )
        #expect(try disk.bytes(at: 0, count: 512) == Array(sample.content[..<512]))
        #expect(try disk.run(at: 0, limit: 65536).length == 512)
        let error = #expect(throws: DiskError.self) { try disk.bytes(at: 0, count: 1024) }
        #expect(error?.reason == .truncated && error?.offset == UInt64(l2 + 8))
        #expect(try disk.bytes(at: 1024, count: 64512) == Array(sample.content[1024...]))
    }

    @Test func `a bad sector or an end within an L2 table costs the entries there alone`() throws {
        let sample = try QCOW2Tool.sample(
            "cluster_size=4k",
            size: 2 << 20,
            ["write -P 65 0 2M"]
        )
        let l1 = Int(Self.value(sample.bytes, at: 40))
        let l2 = Self.value(sample.bytes, at: l1) & 0x00FF_FFFF_FFFF_FE00
        // Entries 64 to 127 stand for the second 256 KiB.
        let lost: Range<UInt64> = (256 << 10)..<(512 << 10)
        let file = BadSectors(MemorySource(sample.bytes), (l2 + 512)..<(l2 + 1024))
        let disk = try Self.image(file)
        for start in stride(from: UInt64(0), to: disk.byteCount, by: 4096) {
            let bytes = try? disk.bytes(at: start, count: 4096)
            #expect((bytes == nil) == lost.contains(start), "\(start)")
            #expect(bytes == nil || bytes == [UInt8](repeating: 65, count: 4096))
            let length = try? disk.run(at: start, limit: .max).length
            #expect((length == nil) == lost.contains(start), "\(start)")
            #expect(
                length.map { start + $0 <= lost.lowerBound || start >= lost.upperBound } != false
            )
        }
        #expect(try disk.bytes(at: 0, count: 256 << 10).count == 256 << 10)

        // Nothing is allocated, so no data is missing where the file ends within the table.
        var empty = Array(sample.bytes[..<Int(l2 + 512)])
        for index in Int(l2)..<Int(l2 + 512) { empty[index] = 0 }
        let short = try Self.image(MemorySource(empty))
        #expect(
            try short.run(at: 0, limit: .max) == BlockRun(length: 4096, origin: .zeros(layer: nil))
        )
        #expect(try short.bytes(at: 0, count: 256 << 10).allSatisfy { $0 == 0 })
        #expect(throws: DiskError.self) { try short.bytes(at: 256 << 10, count: 1) }
    }

    private static func image(_ file: any BlockSource) throws -> QCOW2Image {
        let header = try QCOW2Header(reading: file)
        return try QCOW2Image(header, file: file, backing: nil, decompressor: nil)
    }

    @Test func `random damage never traps`() throws {
        var random = SystemRandomNumberGenerator()
        for name in ["plain", "extended", "old"] {
            let sample = try Self.sample(name)
            for _ in 0..<200 {
                var bytes = sample.bytes
                for _ in 0..<Int.random(in: 1...8, using: &random) {
                    let place = Int.random(in: 0..<min(bytes.count, 8192), using: &random)
                    bytes[place] = UInt8.random(in: 0...255, using: &random)
                }
                _ = QCOW2Tool.outcome(bytes, piece: 16384)
            }
        }
    }

    @Test func `reserved bits and contradictions are damage`() throws {
        let sample = try Self.extended.get()
        let l1 = Int(Self.value(sample.bytes, at: 40))
        let l2 = Int(Self.value(sample.bytes, at: l1) & 0x00FF_FFFF_FFFF_FE00)
        // A subcluster that is both allocated and zero; one that is allocated nowhere.
        let both = Self.spoiled(sample.bytes, at: l2 + 8, width: 8, 0x0000_0001_0000_0001)
        let nowhere = Self.spoiled(sample.bytes, at: l2 + 16 * 20, width: 16, 1)
        for bytes in [both, nowhere] {
            guard case .partly(let pieces) = QCOW2Tool.outcome(bytes) else {
                Issue.record("was read")
                continue
            }
            #expect(pieces.filter { $0 == nil }.count == 16384 / 512)
        }
    }
}
