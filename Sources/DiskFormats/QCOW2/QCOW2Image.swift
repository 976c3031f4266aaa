/// A qcow2 image on top of what backs it, read like a disk.
///
/// Layers are counted from here: 0 is this image, 1 its backing file. Where the image has nothing
/// and there is no backing file, or it is too short, the disk reads as zeros.
///
/// Memory is bounded: 8 MiB of tables and 4 MiB (or two clusters) of decompressed data.
///
/// Layout: QEMU `docs/interop/qcow2.txt`.
public struct QCOW2Image: BlockSource {
    /// What the header says.
    public let header: QCOW2Header
    private let file: any BlockSource
    private let backing: (any BlockSource)?
    private let tables: BlockCache
    private let entries: ClusterEntryFormat
    private let decompressor: (any ClusterDecompressor)?
    private let decompressed: DecompressedClusters

    /// The most table entries that one answer is put together from, so that asking for short runs
    /// one after the other does not walk a long table again and again.
    private static let entriesPerAnswerMax = 1024

    /// Opens the image in `file` upon `backing`, which has to be what `header` names.
    ///
    /// Without a decompressor, compressed clusters are `unsupported` when they are read.
    public init(
        _ header: QCOW2Header,
        file: any BlockSource,
        backing: (any BlockSource)?,
        decompressor: (any ClusterDecompressor)?
    ) throws(DiskError) {
        guard (header.backingFile != nil) == (backing != nil) else {
            throw DiskError(
                .inconsistent,
                "qcow2 header",
                at: 8,
                backing == nil
                    ? "the image needs a backing file" : "the image has no backing file"
            )
        }
        self.header = header
        self.file = file
        self.backing = backing
        self.decompressor = decompressor
        tables = BlockCache(file, pageShift: Self.tablePageShift, capacity: 128)
        entries = ClusterEntryFormat(header, fileSize: file.byteCount)
        decompressed = DecompressedClusters(clusterSize: header.clusterSize)
    }

    private static let tablePageShift = 16

    /// The size of the guest's disk.
    public var byteCount: UInt64 { header.virtualSize }

    /// Reads through the layers; contiguous clusters are one read of the file.
    public func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        try checkRange(offset, buffer.byteCount)
        var done = 0
        while done < buffer.byteCount {
            let position = offset + UInt64(done)
            let answer = try content(at: position, limit: UInt64(buffer.byteCount - done))
            let end = done + Int(answer.length)
            var part = buffer._mutatingExtracting(done..<end)
            switch answer.content {
            case .file(let place): try file.read(into: &part, at: place)
            case .zeros: part.zero(part.byteCount, at: 0)
            case .unallocated: try readBacking(into: &part, at: position)
            case .compressed(let cluster): try read(cluster, into: &part, at: position)
            }
            done = end
        }
    }

    /// The layer that the bytes at `offset` come from.
    public func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        try checkRun(offset, limit)
        let answer = try content(at: offset, limit: min(limit, byteCount - offset))
        let origin: BlockRun.Origin
        switch answer.content {
        case .file(let place): origin = .file(layer: 0, offset: place)
        case .zeros: origin = .zeros(layer: 0)
        case .compressed: origin = .computed(layer: 0)
        case .unallocated:
            guard let backing, offset < backing.byteCount else {
                origin = .zeros(layer: nil)
                break
            }
            let inside = min(answer.length, backing.byteCount - offset)
            let below = try backing.run(at: offset, limit: inside)
            return BlockRun(length: below.length, origin: below.origin.oneLayerDeeper)
        }
        return BlockRun(length: answer.length, origin: origin)
    }

    private func readBacking(
        into buffer: inout MutableRawSpan,
        at offset: UInt64
    ) throws(DiskError) {
        let there = backing.map { $0.byteCount > offset ? $0.byteCount - offset : 0 } ?? 0
        let count = Int(min(there, UInt64(buffer.byteCount)))
        if count > 0, let backing {
            var part = buffer._mutatingExtracting(0..<count)
            try backing.read(into: &part, at: offset)
        }
        buffer.zero(buffer.byteCount - count, at: count)
    }
}

extension BlockRun.Origin {
    fileprivate var oneLayerDeeper: BlockRun.Origin {
        switch self {
        case .file(let layer, let offset): .file(layer: layer + 1, offset: offset)
        case .zeros(let layer): .zeros(layer: layer.map { $0 + 1 })
        case .computed(let layer): .computed(layer: layer + 1)
        }
    }
}

// MARK: - Compressed clusters

extension QCOW2Image {
    private func read(
        _ cluster: CompressedCluster,
        into buffer: inout MutableRawSpan,
        at offset: UInt64
    ) throws(DiskError) {
        if buffer.byteCount == Int(header.clusterSize) {
            return try decompress(cluster, into: &buffer)
        }
        let bytes = try bytes(of: cluster)
        let span = bytes.span
        let within = Int(offset & (header.clusterSize - 1))
        buffer.copy(try span.raw.slice(at: within, count: buffer.byteCount), to: 0)
    }

    private func bytes(of cluster: CompressedCluster) throws(DiskError) -> [UInt8] {
        if let found = decompressed.find(cluster) { return found }
        let size = Int(header.clusterSize)
        let bytes = try [UInt8](count: size) { buffer throws(DiskError) in
            try decompress(cluster, into: &buffer)
        }
        decompressed.keep(cluster, bytes)
        return bytes
    }

    private func decompress(
        _ cluster: CompressedCluster,
        into buffer: inout MutableRawSpan
    ) throws(DiskError) {
        guard let decompressor else {
            throw DiskError(
                .unsupported,
                "qcow2 cluster",
                at: cluster.offset,
                "compressed with \(header.compression), and there is no decompressor"
            )
        }
        let input = try file.bytes(at: cluster.offset, count: cluster.sizeMax)
        let span = input.span
        do throws(DiskError) {
            try decompressor.decompress(span.raw, method: header.compression, into: &buffer)
        } catch {
            throw error.within("qcow2 compressed cluster", at: cluster.offset)
        }
    }
}

// MARK: - Tables

extension QCOW2Image {
    /// An answer that is being put together from neighbouring clusters.
    private struct Answer {
        var content: ClusterContent = .unallocated
        var length: UInt64 = 0

        /// Adds what follows; false where it does not continue the answer.
        @inline(__always)
        mutating func append(_ next: ClusterContent, _ count: UInt64) -> Bool {
            if length == 0 {
                content = next
                length = count
                return true
            }
            switch (content, next) {
            case (.zeros, .zeros), (.unallocated, .unallocated): break
            case (.file(let start), .file(let offset)) where start + length == offset: break
            default: return false
            }
            length += count
            return true
        }
    }

    /// What this layer has at `offset`, for as far as one answer holds, up to `limit` bytes.
    ///
    /// `offset + limit` must lie inside the disk. Damage after a good range does not spoil it.
    private func content(at offset: UInt64, limit: UInt64) throws(DiskError) -> Answer {
        let end = offset + limit
        var answer = Answer()
        var entriesLeft = Self.entriesPerAnswerMax
        var goesOn = true
        while goesOn, entriesLeft > 0, offset + answer.length < end {
            let position = offset + answer.length
            do throws(DiskError) {
                goesOn = try extend(&answer, from: position, to: end, &entriesLeft)
            } catch {
                guard answer.length == 0 else { return answer }
                return try firstCluster(at: position, limit: limit)
            }
        }
        return answer
    }

    /// What the cluster at `position` has, by its own entry alone: a table that is unreadable or
    /// cut off further on is sound up to there.
    private func firstCluster(at position: UInt64, limit: UInt64) throws(DiskError) -> Answer {
        let inCluster = header.clusterSize - position % header.clusterSize
        var answer = Answer()
        var entriesLeft = 1
        do throws(DiskError) {
            let end = position + min(limit, inCluster)
            _ = try extend(&answer, from: position, to: end, &entriesLeft)
        } catch {
            guard answer.length == 0 else { return answer }
            throw error.within("qcow2 tables for the guest's byte \(position)", at: 0)
        }
        return answer
    }

    /// Adds to `answer` what one L1 entry, or one page of an L2 table, says from `position` on.
    private func extend(
        _ answer: inout Answer,
        from position: UInt64,
        to end: UInt64,
        _ entriesLeft: inout Int
    ) throws(DiskError) -> Bool {
        let l1Index = position >> UInt64(header.l1Shift)
        let l1Place = header.l1TableOffset + l1Index * 8
        let l1Entry = try tables.withBytes(at: l1Place, count: 8) { span throws(DiskError) in
            try span.be(UInt64.self, at: 0)
        }
        let covered = min(end, (l1Index + 1) << UInt64(header.l1Shift))
        let table: UInt64?
        do throws(DiskError) {
            table = try entries.tableOffset(ofL1Entry: l1Entry)
        } catch {
            throw error.within("L1 table", at: l1Place)
        }
        guard let table else {
            entriesLeft -= 1
            return answer.append(.unallocated, covered - position)
        }
        let clusterBits = UInt64(header.clusterBits)
        let entryBits = UInt64(header.l2EntryBits)
        let mask = (UInt64(1) << UInt64(header.l1Shift)) - 1
        let place = table + (((position & mask) >> clusterBits) << entryBits)
        // Entries are as long as their alignment, so a page holds whole ones.
        let page = UInt64(1) << UInt64(Self.tablePageShift)
        let inPage = Int((page - place % page) >> entryBits)
        let wanted = Int(((covered - 1) >> clusterBits) - (position >> clusterBits) + 1)
        let count = min(inPage, wanted, entriesLeft)
        entriesLeft -= count
        return try tables.withBytes(at: place, count: count << Int(entryBits)) {
            span throws(DiskError) in
            try scan(span, at: place, count, &answer, from: position, to: covered)
        }
    }

    private func scan(
        _ span: RawSpan,
        at place: UInt64,
        _ count: Int,
        _ answer: inout Answer,
        from start: UInt64,
        to end: UInt64
    ) throws(DiskError) -> Bool {
        let clusterSize = header.clusterSize
        var position = start
        for index in 0..<count {
            let offset = index << header.l2EntryBits
            let entry = try span.be(UInt64.self, at: offset)
            let bitmap = header.hasExtendedL2 ? try span.be(UInt64.self, at: offset + 8) : 0
            let next = min(end, (position | (clusterSize - 1)) + 1)
            while position < next {
                var length = next - position
                let content: ClusterContent
                do throws(DiskError) {
                    content = try entries.content(
                        entry,
                        bitmap: bitmap,
                        within: position & (clusterSize - 1),
                        length: &length
                    )
                } catch {
                    throw error.within("L2 table", at: place + UInt64(offset))
                }
                guard answer.append(content, length) else { return false }
                position += length
            }
        }
        return true
    }
}
