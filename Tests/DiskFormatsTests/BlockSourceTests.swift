import Testing

@testable import DiskFormats

@Suite struct BlockSourceTests {
    @Test func `a slice cannot see outside itself`() throws {
        let disk = MemorySource([UInt8](0..<100))
        let slice = try SliceSource(disk, start: 10, byteCount: 20)
        #expect(try slice.bytes(at: 0, count: 20) == [UInt8](10..<30))
        #expect(throws: DiskError.self) { try slice.bytes(at: 1, count: 20) }
        #expect(throws: DiskError.self) { try slice.bytes(at: UInt64.max, count: 1) }
    }

    @Test func `an unreadable sector costs a cache no more than what stands in it`() throws {
        let disk = MemorySource((0..<(256 << 10)).map { UInt8(truncatingIfNeeded: $0 >> 9) })
        let cache = BlockCache(BadSectors(disk, (200 * 512)..<(201 * 512)))
        for sector in UInt64(0)..<512 {
            let read = { () throws(DiskError) -> UInt8 in
                try cache.withBytes(at: sector * 512, count: 512) { (raw) throws(DiskError) in
                    try raw.u8(at: 511)
                }
            }
            if sector == 200 {
                let error = #expect(throws: DiskError.self) { try read() }
                #expect(error?.reason == .unreadable)
            } else {
                #expect(try read() == UInt8(truncatingIfNeeded: sector))
            }
        }
    }

    @Test func `a run of no bytes is refused by every source`() throws {
        let memory = MemorySource([1, 2, 3])
        let extent = FileExtent(fileOffset: 0, length: 3, content: .inline([1, 2, 3]))
        let sources: [any BlockSource] = [
            memory, try SliceSource(memory, start: 1, byteCount: 2),
            ExtentsSource(volume: memory, extents: [extent], byteCount: 3),
        ]
        for source in sources {
            #expect(try source.run(at: 1, limit: 1).length == 1)
            #expect(throws: DiskError.self) { try source.run(at: 1, limit: 0) }
        }
    }

    @Test func `crc32c gives the value that RFC 3720 prints`() {
        var crc = CRC32C()
        crc.add([UInt8](0..<32))
        #expect(~crc.value == 0x46DD_794E)
    }
}
