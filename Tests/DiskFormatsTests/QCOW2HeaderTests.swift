import Testing

@testable import DiskFormats

/// What is refused, and by which name; offsets by QEMU `docs/interop/qcow2.txt`.
@Suite struct QCOW2HeaderTests {
    /// A whole header of version 3 with clusters of 64 KiB and empty tables.
    static func header(
        _ fields: [(offset: Int, width: Int, value: UInt64)] = [],
        extensions: [(type: UInt32, data: [UInt8])] = [],
        backing: String? = nil
    ) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 0x30000)
        func put(_ offset: Int, _ width: Int, _ value: UInt64) {
            for index in 0..<width {
                bytes[offset + index] = UInt8(
                    truncatingIfNeeded: value >> UInt64(8 * (width - 1 - index))
                )
            }
        }
        let sound: [(Int, Int, UInt64)] = [
            (0, 4, 0x5146_49FB), (4, 4, 3), (20, 4, 16), (24, 8, 65536), (36, 4, 1),
            (40, 8, 0x10000), (48, 8, 0x20000), (56, 4, 1), (96, 4, 4), (100, 4, 104),
        ]
        for (offset, width, value) in sound { put(offset, width, value) }
        var place = 104
        for (type, data) in extensions {
            put(place, 4, UInt64(type))
            put(place + 4, 4, UInt64(data.count))
            bytes.replaceSubrange((place + 8)..<(place + 8 + data.count), with: data)
            place += 8 + (data.count + 7) / 8 * 8
        }
        if let backing {
            put(8, 8, 0x400)
            put(16, 4, UInt64(backing.utf8.count))
            bytes.replaceSubrange(0x400..<(0x400 + backing.utf8.count), with: backing.utf8)
        }
        for (offset, width, value) in fields { put(offset, width, value) }
        return bytes
    }

    static func parse(_ bytes: [UInt8]) throws(DiskError) -> QCOW2Header {
        try QCOW2Header(reading: MemorySource(bytes))
    }

    struct Refusal: Sendable {
        let fields: [(offset: Int, width: Int, value: UInt64)]
        let reason: DiskError.Reason
        let says: String
    }

    @Test(arguments: [
        Refusal(fields: [(72, 8, 4)], reason: .refused, says: "external data file"),
        Refusal(fields: [(32, 4, 1)], reason: .unsupported, says: "AES"),
        Refusal(fields: [(32, 4, 2)], reason: .unsupported, says: "LUKS"),
        Refusal(fields: [(32, 4, 9)], reason: .unsupported, says: "encrypted"),
        Refusal(fields: [(72, 8, 2)], reason: .inconsistent, says: "marked the image as corrupt"),
        Refusal(fields: [(72, 8, 1 << 5)], reason: .unsupported, says: "feature bits: 5"),
        Refusal(fields: [(72, 8, 3 << 62)], reason: .unsupported, says: "62, 63"),
        Refusal(
            fields: [(72, 8, 8), (100, 4, 112), (104, 1, 2)],
            reason: .unsupported,
            says: "compression type 2"
        ),
        Refusal(fields: [(72, 8, 8)], reason: .inconsistent, says: "contradicts"),
        Refusal(fields: [(4, 4, 1)], reason: .unsupported, says: "older format qcow"),
        Refusal(fields: [(4, 4, 4)], reason: .unsupported, says: "version 4"),
        Refusal(fields: [(0, 4, 0)], reason: .badMagic, says: "QFI"),
        Refusal(fields: [(20, 4, 8)], reason: .outOfRange, says: "2^8"),
        Refusal(fields: [(20, 4, 22)], reason: .outOfRange, says: "2^22"),
        Refusal(fields: [(24, 8, .max)], reason: .inconsistent, says: "L1 table has 1"),
        Refusal(fields: [(36, 4, 0)], reason: .inconsistent, says: "L1 table has 0"),
        Refusal(fields: [(36, 4, 0xFFFF_FFFF)], reason: .outOfRange, says: "4294967295"),
        Refusal(fields: [(40, 8, 0)], reason: .outOfRange, says: "L1 table"),
        Refusal(fields: [(40, 8, 0x10001)], reason: .outOfRange, says: "L1 table"),
        Refusal(fields: [(40, 8, 0x30000)], reason: .truncated, says: "L1 table"),
        Refusal(fields: [(40, 8, 0xFFFF_FFFF_FFFF_0000)], reason: .truncated, says: "L1 table"),
        Refusal(fields: [(16, 4, 5)], reason: .outOfRange, says: "name at 0"),
        Refusal(fields: [(8, 8, 1 << 63), (16, 4, 9)], reason: .outOfRange, says: "name at"),
        Refusal(fields: [(8, 8, 512), (16, 4, 1024)], reason: .outOfRange, says: "1024 bytes"),
        Refusal(fields: [(100, 4, 103)], reason: .outOfRange, says: "header of 103"),
        Refusal(fields: [(100, 4, 0xFFFF_FFF8)], reason: .outOfRange, says: "header of"),
        Refusal(fields: [(20, 4, 9), (72, 8, 16)], reason: .outOfRange, says: "extended L2"),
    ])
    func `what cannot be read is refused by name`(_ refusal: Refusal) {
        let error = #expect(throws: DiskError.self) { try Self.parse(Self.header(refusal.fields)) }
        #expect(error?.reason == refusal.reason, "\(String(describing: error))")
        #expect(error?.description.contains(refusal.says) == true, "\(String(describing: error))")
    }

    @Test func `the sound header is accepted, dirty or not`() throws {
        #expect(try Self.parse(Self.header()).virtualSize == 65536)
        let dirty = try Self.parse(Self.header([(72, 8, 1), (80, 8, .max), (88, 8, .max)]))
        #expect(dirty.isDirty && dirty.backingFile == nil)
    }

    @Test func `extensions are read, skipped or refused by their type`() throws {
        let plain = try Self.parse(
            Self.header(
                extensions: [
                    (0x1234_5678, [1, 2, 3]), (0x6803_F857, [UInt8](repeating: 1, count: 48)),
                    (0x2385_2875, [UInt8](repeating: 0, count: 24)),
                    (0xE279_2ACA, Array("qcow2".utf8)), (0, []), (0x4441_5441, [1]),
                ],
                backing: "base"
            )
        )
        #expect(plain.backingFormat == Array("qcow2".utf8))
        #expect(plain.backingFile == Array("base".utf8))
        for (type, reason) in [
            (0x4441_5441 as UInt32, DiskError.Reason.refused), (0x0537_BE77, .unsupported),
        ] {
            let error = #expect(throws: DiskError.self) {
                try Self.parse(Self.header(extensions: [(type, [1, 2, 3])]))
            }
            #expect(error?.reason == reason)
        }
        for length: UInt64 in [0xFFFF_FFFF, 0x7FFF_FFFF, 0x10000, 0x400 - 111] {
            let bytes = Self.header([(108, 4, length)], extensions: [(5, [1])], backing: "base")
            #expect(throws: DiskError.self) { try Self.parse(bytes) }
        }
    }

    @Test(
        .enabled(if: QCOW2Tool.isThere, "qemu-utils is not installed"),
        arguments: ["data_file=DIR/data,data_file_raw=on", "data_file=DIR/data"]
    )
    func `an external data file that qemu-img made is refused`(_ options: String) throws {
        let image = try QCOW2Tool.image(options, size: 1 << 20)
        let error = #expect(throws: DiskError.self) { try Self.parse(image) }
        #expect(error?.reason == .refused)
    }

    @Test(.enabled(if: QCOW2Tool.isThere, "qemu-utils is not installed"))
    func `an encrypted image that qemu-img made is refused`() throws {
        let image = try QCOW2Tool.image(
            "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10",
            ["--object", "secret,id=key,data=example"],
            size: 1 << 20
        )
        let error = #expect(throws: DiskError.self) { try Self.parse(image) }
        #expect(error?.reason == .unsupported)
        #expect(error?.description.contains("encrypted (method 2, LUKS)") == true)
    }
}
