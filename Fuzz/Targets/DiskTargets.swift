internal import DiskFormats

/// Reads the partition table; every partition must lie inside the disk.
func fuzzPartitions(_ image: PackedImage) {
    guard let table = try? PartitionTable.read(image) else { return }
    precondition(table.sectorSize == 512 || table.sectorSize == 4096)
    for partition in table.partitions {
        precondition(partition.byteCount > 0 && partition.number > 0)
        let slice = try? SliceSource(image, start: partition.start, byteCount: partition.byteCount)
        precondition(slice != nil, "a partition leaves the disk")
    }
    let numbers = table.partitions.map(\.number)
    precondition(Set(numbers).count == numbers.count, "two partitions with one number")
    precondition(table.problems.count <= 4 * (table.partitions.count + 16_384))
}

/// Probes the volume; identifiers must be printable.
func fuzzSignatures(_ image: PackedImage) {
    guard let found = try? VolumeSignature.probe(image) else { return }
    for signature in found {
        precondition(!signature.type.isEmpty)
        precondition(signature.uuid.utf8.allSatisfy { (0x21...0x7E).contains($0) })
        precondition(signature.label.count <= 4096)
    }
}

/// Fills the output with the input, again and again, as if that were decompression.
private struct RepeatingDecompressor: ClusterDecompressor {
    func decompress(
        _ input: RawSpan,
        method: QCOW2Header.Compression,
        into output: inout MutableRawSpan
    ) throws(DiskError) {
        guard input.byteCount > 0, try input.u8(at: 0) & 1 == 0 else {
            throw DiskError(.inconsistent, "compressed data", at: 0, "does not decompress")
        }
        var done = 0
        while done < output.byteCount {
            let count = min(input.byteCount, output.byteCount - done)
            output.copy(try input.slice(at: 0, count: count), to: done)
            done += count
        }
    }
}

/// Opens the image and reads its first, last and allocated ranges.
func fuzzQCOW2(_ image: PackedImage) {
    _ = try? ImageSignature(reading: image)
    guard let header = try? QCOW2Header(reading: image) else { return }
    if let name = header.backingFile { _ = try? BackingName(name) }
    let backing = header.backingFile.map { _ in
        MemorySource([UInt8](repeating: 0xA5, count: 70_000))
    }
    let disk = try? QCOW2Image(
        header,
        file: image,
        backing: backing,
        decompressor: RepeatingDecompressor()
    )
    guard let disk else { return }
    readRuns(of: disk, from: 0, answers: 64)
    if disk.byteCount > 1 << 20 { readRuns(of: disk, from: disk.byteCount - 1 << 20, answers: 16) }
}

/// Reads what `disk` says of itself from `offset` on, up to `answers` runs.
func readRuns(of disk: any BlockSource, from offset: UInt64, answers: Int) {
    var offset = offset
    for _ in 0..<answers where offset < disk.byteCount {
        let limit = disk.byteCount - offset
        guard let run = try? disk.run(at: offset, limit: limit) else {
            // A damaged table costs what it maps; go on behind it.
            offset += min(limit, 1 << 16)
            continue
        }
        precondition(run.length > 0 && run.length <= limit, "a run of \(run.length) of \(limit)")
        let count = Int(min(run.length, 1 << 16))
        if let whole = try? disk.bytes(at: offset, count: count) {
            let last = try? disk.bytes(at: offset + UInt64(count) - 1, count: 1)
            precondition(last == [whole[count - 1]], "a short read differs from a long one")
        }
        offset += run.length
    }
}
