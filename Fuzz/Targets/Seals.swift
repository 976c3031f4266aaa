internal import DiskFormats

// Makes checksums right again, so that mutations get past them to the code behind.

extension PackedImage {
    /// Makes both checksums of a primary GPT right, for both sizes of sectors.
    mutating func sealGPT() {
        for sectorSize in [512, 4096] {
            let place = UInt64(sectorSize)
            guard var header = try? bytes(at: place, count: 92),
                header.starts(with: "EFI PART".utf8),
                let entriesSector = try? word(at: place + 72),
                let count = try? word(at: place + 80), let size = try? word(at: place + 84)
            else { continue }
            let total = Int(count).multipliedReportingOverflow(by: Int(size))
            let start = UInt64(entriesSector) * UInt64(sectorSize)
            if !total.overflow, total.partialValue <= 1 << 16,
                let entries = try? bytes(at: start, count: total.partialValue)
            {
                let span = entries.span
                set(crc32(span.raw), at: place + 88)
            }
            // The checksum of the header is made with zeros in its own place.
            set(92, at: place + 12)
            set(0, at: place + 16)
            header = (try? bytes(at: place, count: 92)) ?? header
            let span = header.span
            set(crc32(span.raw), at: place + 16)
        }
    }

    /// Makes the checksum of the boot region of an exFAT volume right.
    mutating func sealExFAT() {
        guard let boot = try? bytes(at: 0, count: 512), boot[3..<8].elementsEqual("EXFAT".utf8),
            (9...12).contains(boot[108])
        else { return }
        let sectorSize = 1 << Int(boot[108])
        guard let region = try? bytes(at: 0, count: 11 * sectorSize) else { return }
        var checksum: UInt32 = 0
        for (index, byte) in region.enumerated() where ![106, 107, 112].contains(index) {
            checksum = (checksum << 31 | checksum >> 1) &+ UInt32(byte)
        }
        for place in stride(from: 11 * sectorSize, to: 12 * sectorSize, by: 4) {
            set(checksum, at: UInt64(place))
        }
    }

    private func word(at offset: UInt64) throws(DiskError) -> UInt32 {
        let bytes = try bytes(at: offset, count: 4)
        let span = bytes.span
        return try span.raw.u32(at: 0)
    }
}
