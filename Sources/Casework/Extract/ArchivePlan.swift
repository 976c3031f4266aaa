internal import ArchiveFile
internal import DiskFormats

/// Cuts planned batches into jobs of about a megabyte; runs on the thread that walks the tree.
final class ArchivePlan {
    private let extraction: Extraction
    private let pipeline: ArchivePipeline
    private let isObserved: Bool
    private var encoder: EncoderBox
    private var notes: [Note] = []

    private static let jobBytes: UInt64 = 1 << 20
    private static let jobEntriesMax = 512

    init(
        _ extraction: Extraction,
        _ pipeline: ArchivePipeline,
        _ encoder: EncoderBox,
        isObserved: Bool
    ) {
        self.extraction = extraction
        self.isObserved = isObserved
        self.pipeline = pipeline
        self.encoder = encoder
    }

    /// Turns a batch into jobs; false once the pipeline is stopped.
    func add(_ batch: PlannedBatch) -> Bool {
        notes += batch.notes
        let items = batch.items
        var first = 0
        var total: UInt64 = 0
        for index in items.indices {
            let bytes = items.span[index].bytesWhereSmall(Self.jobBytes)
            let isFull =
                total + (bytes ?? 0) > Self.jobBytes || index - first >= Self.jobEntriesMax
            if bytes == nil || isFull {
                guard push(items[first..<index]) else { return false }
                first = index
                total = 0
            }
            if let bytes {
                total += bytes
            } else {
                guard addLong(items[index]) else { return false }
                first = index + 1
            }
        }
        return push(items[first...])
    }

    private func push(_ entries: ArraySlice<PlannedItem>) -> Bool {
        guard !entries.isEmpty || !notes.isEmpty else { return true }
        let job = ArchiveJob(work: entries.isEmpty ? nil : .entries(entries), notes: notes)
        notes = []
        return pipeline.push(job)
    }

    /// Hands over a long file in parts; its map is read twice, since the header needs all of it.
    private func addLong(_ item: PlannedItem) -> Bool {
        let path = extraction.guestPath(item.path, root: item.root)
        let (data, lost) = map(item, path)
        var header: [UInt8] = []
        var start: ContentPart.Start?
        do throws(ArchiveError) {
            let ranges = data.sparse
            let kind = ArchiveEntry.Kind.file(size: item.inode.size, dataRanges: ranges)
            let entry = ArchiveEntry(item, kind, extraction, &notes)
            header = try encoder.header(of: entry)
            if isObserved {
                start = ContentPart.Start(
                    record: ArchiveRecord(item, entry),
                    ranges: data.ranges,
                    missing: lost
                )
            }
        } catch {
            notes.append(.problem(path, .archive(error), nil))
            return push([])
        }
        var cutter = ContentCutter(item, header, start, total: data.byteCount, notes)
        notes = []
        var windows = extraction.windows(of: item)
        var next = 0
        while let window = windows.next() {
            for extent in window {
                let end = extent.fileOffset + extent.length
                while next < data.ranges.count, data.ranges[next].lowerBound < end {
                    if data.ranges[next].upperBound > extent.fileOffset {
                        let part = extent.part(data.ranges[next])
                        guard cutter.add(part, push: pipeline.push) else { return false }
                    }
                    guard data.ranges[next].upperBound <= end else { break }
                    next += 1
                }
            }
        }
        return cutter.finish(push: pipeline.push)
    }

    /// Which ranges have data; what cannot be mapped is noted and becomes a hole.
    private func map(_ item: PlannedItem, _ path: [UInt8]) -> (DataRanges, MissingRanges) {
        var data = DataRanges(size: item.inode.size)
        var losses: [ContentReader.Loss] = []
        var windows = extraction.windows(of: item)
        while let window = windows.next() {
            data.add(window)
            losses += window.losses
        }
        for loss in losses.joined() { notes.append(.problem(path, .disk(loss.error), loss.range)) }
        if !losses.isEmpty { notes.append(.partial(path)) }
        var missing = MissingRanges()
        missing.add(losses.map(\.range))
        return (data, missing)
    }
}

/// Gathers the data of a long file into jobs of one megabyte.
private struct ContentCutter {
    private let item: PlannedItem
    private var header: [UInt8]
    private var start: ContentPart.Start?
    private let total: UInt64
    private var notes: [Note]
    private var parts: [FileExtent] = []
    private var partBytes: UInt64 = 0
    private var done: UInt64 = 0

    private static let jobBytes: UInt64 = 1 << 20

    init(
        _ item: PlannedItem,
        _ header: [UInt8],
        _ start: ContentPart.Start?,
        total: UInt64,
        _ notes: [Note]
    ) {
        self.item = item
        self.header = header
        self.start = start
        self.total = total
        self.notes = notes
    }

    mutating func add(_ part: FileExtent, push: (ArchiveJob) -> Bool) -> Bool {
        var start = part.fileOffset
        let end = min(part.fileOffset + part.length, start + (total - done))
        while start < end {
            let count = min(end - start, Self.jobBytes - partBytes)
            parts.append(part.part(start..<(start + count)))
            partBytes += count
            done += count
            start += count
            if partBytes == Self.jobBytes || parts.count >= 4_096 {
                guard flush(isLast: false, push) else { return false }
            }
        }
        return true
    }

    /// Ends the file; should its map have shrunk meanwhile, zeros keep the archive in step.
    mutating func finish(push: (ArchiveJob) -> Bool) -> Bool {
        while done < total {
            let error = DiskError(.inconsistent, "map of a file", "changed while it was read")
            let missing = FileExtent(
                fileOffset: done,
                length: total - done,
                content: .unreadable(error)
            )
            guard add(missing, push: push) else { return false }
        }
        return flush(isLast: true, push)
    }

    private mutating func flush(isLast: Bool, _ push: (ArchiveJob) -> Bool) -> Bool {
        let padding = isLast ? ArchiveEncoder.padding(after: total) : 0
        let job = ArchiveJob(
            work: .content(
                item,
                header: header,
                parts,
                padding: padding,
                ContentPart(start: start, isLast: isLast)
            ),
            notes: notes
        )
        header = []
        start = nil
        notes = []
        parts = []
        partBytes = 0
        return push(job)
    }
}

extension Extraction {
    fileprivate func windows(of item: PlannedItem) -> ExtentWindows {
        let fileSystem = roots[item.root].fileSystem
        return ExtentWindows(fileSystem, inode: item.inode.number, from: 0, to: item.inode.size)
    }
}

extension PlannedItem {
    /// Its content in bytes where the file is small enough to be made in one go.
    fileprivate func bytesWhereSmall(_ most: UInt64) -> UInt64? {
        guard inode.type == .regular, linkTo == nil else { return 0 }
        if contiguous != nil { return inode.size <= most ? inode.size : nil }
        guard inode.size <= ExtentWindows.firstLength, extents.count <= 1_024 else { return nil }
        let bytes = extents.reduce(UInt64(0)) { $1.hasData ? $0 + $1.length : $0 }
        return bytes <= most ? bytes : nil
    }
}

extension [FileExtent] {
    /// The ranges among them that cannot be mapped.
    var losses: [ContentReader.Loss] {
        compactMap {
            guard case .unreadable(let error) = $0.content else { return nil }
            let range = $0.fileOffset..<($0.fileOffset + $0.length)
            return ContentReader.Loss(range: range, error: error)
        }
    }
}
