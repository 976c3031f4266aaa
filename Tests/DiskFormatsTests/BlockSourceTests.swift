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

    @Test func `crc32c gives the value that RFC 3720 prints`() {
        var crc = CRC32C()
        crc.add([UInt8](0..<32))
        #expect(~crc.value == 0x46DD_794E)
    }
}
