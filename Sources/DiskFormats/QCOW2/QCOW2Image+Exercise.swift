extension QCOW2Image {
    /// Opens `bytes` as an image and reads as much of it as `limit` allows, in several ways.
    ///
    /// For fuzzing: returns how many bytes could be read, and must never trap, hang, or use memory
    /// beyond what ``QCOW2Image`` promises. Whole reads and short ones have to agree.
    package static func exercise(
        _ bytes: [UInt8],
        limit: UInt64 = 1 << 20,
        decompressor: (any ClusterDecompressor)? = nil
    ) throws(DiskError) -> UInt64 {
        let file = MemorySource(bytes)
        let header = try QCOW2Header(reading: file)
        if let name = header.backingFile { _ = try? BackingName(name) }
        let image = try QCOW2Image(
            header,
            file: file,
            backing: header.backingFile == nil ? nil : MemorySource([0x42]),
            decompressor: decompressor
        )
        let end = min(image.byteCount, limit)
        var position: UInt64 = 0
        var read: UInt64 = 0
        // Damaged clusters count as a step, so that every round gets somewhere.
        while position < end {
            let step: UInt64
            if let run = try? image.run(at: position, limit: end - position) {
                precondition(run.length > 0 && run.length <= end - position)
                step = run.length
                if let whole = try? image.bytes(at: position, count: Int(step)) {
                    read += step
                    let last = try image.bytes(at: position + step - 1, count: 1)
                    precondition(last[0] == whole[whole.count - 1])
                }
            } else {
                step = min(512, end - position)
            }
            position += step
        }
        if image.byteCount > 0 { _ = try? image.bytes(at: image.byteCount - 1, count: 1) }
        return read
    }
}
