// The two checksum algorithms of jbd2, as recovery needs them.

extension RawSpan {
    /// CRC-32C of all bytes, the four bytes at `offset` taken as zeros: there the sum is stored.
    func crc32c(seed: UInt32, skipping offset: Int) throws(DiskError) -> UInt32 {
        var crc = CRC32C(seed: seed)
        crc.add(try slice(at: 0, count: offset))
        crc.add(UInt32(0))
        crc.add(try slice(at: offset + 4, count: byteCount - offset - 4))
        return crc.value
    }
}

/// CRC-32 with the bits in big-endian order and no final inversion, as Linux' `crc32_be`.
///
/// jbd2's version 1 checksum is this sum, begun with all ones, over the descriptor and data blocks
/// of a transaction in the order of the log.
struct CRC32BigEndian {
    private(set) var value: UInt32 = ~0

    /// Adds `bytes`, whose number is a multiple of four as that of a block is.
    mutating func add(_ bytes: RawSpan) throws(DiskError) {
        let table = Self.table
        for offset in stride(from: 0, to: bytes.byteCount, by: 4) {
            let word = try value ^ bytes.be(UInt32.self, at: offset)
            value =
                table[768 + Int(word >> 24)] ^ table[512 + Int(word >> 16 & 0xFF)]
                ^ table[256 + Int(word >> 8 & 0xFF)] ^ table[Int(word & 0xFF)]
        }
    }

    /// Four tables of 256: what a byte becomes after being shifted out by 1 to 4 bytes.
    private static let table: [UInt32] = {
        var table = (0..<256).map { byte in
            (0..<8).reduce(UInt32(byte) << 24) { crc, _ in
                crc << 1 ^ (crc >> 31 == 1 ? 0x04C1_1DB7 : 0)
            }
        }
        for index in 256..<1024 {
            let shorter = table[index - 256]
            table.append(shorter << 8 ^ table[Int(shorter >> 24)])
        }
        return table
    }()
}
