/// Linux swap space, and swap space that holds the memory of a hibernated system.
///
/// The signature is the end of the first page, whose size depends on the machine. Layout: Linux
/// `include/linux/swap.h`, `union swap_header`; old and new signatures as mkswap(8) explains.
enum SwapSignature: SignatureFamily {
    private static let pageSizes = [0x1000, 0x2000, 0x4000, 0x8000, 0x10000]
    private static let minimumByteCount: UInt64 = 10 * 4096
    private static let signatures: [(text: StaticString, version: String)] = [
        ("SWAP-SPACE", "0"), ("SWAPSPACE2", "1"), ("S1SUSPEND", "s1suspend"),
        ("S2SUSPEND", "s2suspend"), ("ULSUSPEND", "ulsuspend"), ("LINHIB0001", "linhib0001"),
    ]
    private static let tuxOnIce: [UInt8] = [0xED, 0xC3, 0x02, 0xE9, 0x98, 0x56, 0xE5, 0x0C]

    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature? {
        guard volume.byteCount >= minimumByteCount else { return nil }
        if try volume.bytes(at: 0, count: 8) == tuxOnIce {
            return try signature(volume, version: "tuxonice", pageSize: nil)
        }
        for pageSize in pageSizes {
            for (text, version) in signatures where volume.matches(text, at: pageSize - 10) {
                let found = try signature(volume, version: version, pageSize: pageSize)
                if let found { return found }
            }
        }
        return nil
    }

    private static func signature(
        _ volume: VolumeReader,
        version: String,
        pageSize: Int?
    ) throws(DiskError) -> VolumeSignature? {
        let isSwap = version == "0" || version == "1"
        var result = VolumeSignature(
            type: isSwap ? "swap" : "swsuspend",
            usage: .other,
            version: version
        )
        if version == "0" { return result }
        let header = try volume.bytes(at: 1024, count: 512)
        let span = header.span
        let raw = span.raw
        if version == "1" {
            // Written in the byte order of the machine that made it.
            let isLittleEndian = try raw.u32(at: 0) == 1
            let isBigEndian = try raw.be(UInt32.self, at: 0) == 1
            guard isLittleEndian || isBigEndian else { return nil }
            let lastPage = isLittleEndian ? try raw.u32(at: 4) : try raw.be(UInt32.self, at: 4)
            guard lastPage != 0 else { return nil }
            result.byteCount = pageSize.map { UInt64($0) * UInt64(lastPage) }
        }
        // Old headers have no identifiers; what stands there instead shows in the padding.
        if try raw.u32(at: 44 + 32 * 4) == 0, try raw.u32(at: 44 + 33 * 4) == 0 {
            result.label = IdentifierText.label(try raw.array(at: 28, count: 16))
            result.uuid = IdentifierText.uuid(try raw.array(at: 12, count: 16))
        }
        return result
    }
}
