internal import ArchiveFile
internal import DiskFormats
internal import Linux

/// An encoder that several functions of one thread share.
final class EncoderBox {
    private var encoder: ArchiveEncoder

    init() throws(ArchiveError) { encoder = try ArchiveEncoder() }

    func header(of entry: ArchiveEntry) throws(ArchiveError) -> [UInt8] {
        try encoder.withHeader(of: entry) { $0.array }
    }

    func append(_ entry: ArchiveEntry, to buffer: TransferBuffer) throws(ArchiveError) {
        try encoder.withHeader(of: entry) { buffer.append($0) }
    }
}

/// Makes parts of an archive from jobs; for one thread.
final class ArchiveWorker {
    private let extraction: Extraction
    private let cancellation: CancellationFlag
    private let encoder: EncoderBox
    private let readers: [ContentReader]
    private let isPipe: Bool
    private let isObserved: Bool

    init(
        _ extraction: Extraction,
        _ cancellation: CancellationFlag,
        isPipe: Bool,
        isObserved: Bool
    ) throws(ArchiveError) {
        self.isPipe = isPipe
        self.isObserved = isObserved
        self.extraction = extraction
        self.cancellation = cancellation
        self.encoder = try EncoderBox()
        self.readers = extraction.roots.map { ContentReader($0.fileSystem.volume) }
    }

    /// Works until the pipeline ends.
    static func run(
        _ extraction: Extraction,
        _ cancellation: CancellationFlag,
        _ pipeline: ArchivePipeline,
        isPipe: Bool,
        isObserved: Bool
    ) {
        do throws(ArchiveError) {
            let worker = try ArchiveWorker(
                extraction,
                cancellation,
                isPipe: isPipe,
                isObserved: isObserved
            )
            while let (number, job, buffer) = pipeline.take() {
                pipeline.put(worker.make(job, buffer), number: number)
            }
        } catch {
            while let (number, _, buffer) = pipeline.take() {
                pipeline.put(ArchivePiece(buffer: buffer, failure: .archive(error)), number: number)
            }
        }
    }

    private static let over = DiskError(
        .unreadable,
        "instance",
        "it was not read while the instance was held"
    )

    private func make(_ job: ArchiveJob, _ buffer: TransferBuffer) -> ArchivePiece {
        var piece = ArchivePiece(buffer: buffer, notes: job.notes)
        switch job.work {
        case nil: break
        case .entries(let items)?:
            for index in items.indices {
                if cancellation.isSet { break }
                // A file of which nothing can be read any more is named, not made one of holes.
                if let isOver = extraction.options.isOver, isOver() {
                    let path = extraction.guestPath(items[index].path, root: items[index].root)
                    piece.notes.append(.problem(path, .disk(Self.over), nil))
                    continue
                }
                make(items, index, &piece)
            }
            piece.latest = items.last
        case .content(let item, let header, let parts, let padding, var part)?:
            let span = header.span
            buffer.append(span.raw)
            var losses: [ContentReader.Loss] = []
            for extent in parts where !cancellation.isSet {
                if extent.hasData { piece.bytes += extent.length }
                if isPipe, let moves = moves(extent, item.root, at: buffer.count) {
                    piece.moves += moves
                } else {
                    readers[item.root].append(extent, to: buffer) { losses.append($0) }
                }
            }
            if isObserved {
                part.bytes = header.count..<buffer.count
                part.missing = losses.map(\.range)
                piece.part = part
            }
            buffer.appendZeros(padding)
            note(losses, of: item, &piece)
            piece.files = part.isLast ? 1 : 0
            piece.latest = item
        }
        return piece
    }

    /// How `part` goes out without a copy, where all of it stands in files as it is.
    private func moves(_ part: FileExtent, _ root: Int, at position: Int) -> [ArchivePiece.Move]? {
        let (layers, volume) = (extraction.roots[root].layers, readers[root].volume)
        guard !layers.isEmpty, let (start, length) = part.placeOnVolume else { return nil }
        var moves: [ArchivePiece.Move] = []
        var done: UInt64 = 0
        while done < length {
            guard let run = try? volume.run(at: start &+ done, limit: length - done),
                case .file(let layer, let offset) = run.origin, layers.indices.contains(layer),
                run.length >= 4_096
            else { return nil }
            moves.append(
                ArchivePiece.Move(
                    position: position,
                    fileOffset: part.fileOffset + done,
                    file: layers[layer],
                    offset: offset,
                    count: run.length
                )
            )
            done += run.length
        }
        return moves
    }

    private func note(
        _ losses: [ContentReader.Loss],
        of item: PlannedItem,
        _ piece: inout ArchivePiece
    ) {
        guard !losses.isEmpty else { return }
        let path = extraction.guestPath(item.path, root: item.root)
        for loss in losses.joined() {
            piece.notes.append(.problem(path, .disk(loss.error), loss.range))
        }
        piece.notes.append(.partial(path))
    }

    private func make(
        _ items: ArraySlice<PlannedItem>,
        _ index: Int,
        _ piece: inout ArchivePiece
    ) {
        let item = items[index]
        let before = piece.buffer.count
        do throws(ArchiveError) {
            if item.inode.type == .regular, item.linkTo == nil {
                try makeFile(item, firstOf: items[index...], &piece)
                piece.files += 1
                return
            }
            guard let kind = item.kindWithoutContent else { return }
            let entry = ArchiveEntry(item, kind, extraction, &piece.notes)
            try encoder.append(entry, to: piece.buffer)
            if isObserved { piece.records.append(ArchiveRecord(item, entry)) }
            switch kind {
            case .directory: piece.directories += 1
            case .hardLink: piece.files += 1
            default: piece.other += 1
            }
        } catch {
            piece.buffer.truncate(to: before)
            let path = extraction.guestPath(item.path, root: item.root)
            piece.notes.append(.problem(path, .archive(error), nil))
        }
    }

    private func makeFile(
        _ item: PlannedItem,
        firstOf rest: ArraySlice<PlannedItem>,
        _ piece: inout ArchivePiece
    ) throws(ArchiveError) {
        let size = item.inode.size
        let before = piece.buffer.count
        let whole = ArchiveEntry.Kind.file(size: size, dataRanges: nil)
        var entry = ArchiveEntry(item, whole, extraction, &piece.notes)
        readers[item.root].readAhead(UpcomingPlaces(rest))
        if let place = item.contiguous, place.length == size {
            try encoder.append(entry, to: piece.buffer)
            let start = piece.buffer.count
            if readers[item.root].append(place, to: piece.buffer) {
                piece.bytes += size
                record(item, entry, [0..<size], start..<piece.buffer.count, [], &piece)
                piece.buffer.appendZeros(ArchiveEncoder.padding(after: size))
                return
            }
            piece.buffer.truncate(to: before)
        }
        var extents = item.extents
        var data = DataRanges(size: size)
        data.add(extents)
        var losses = extents.losses
        entry.kind = .file(size: size, dataRanges: data.sparse)
        try encoder.append(entry, to: piece.buffer)
        var start = piece.buffer.count
        var unread: [ContentReader.Loss] = []
        append(extents, of: item, in: data, to: piece.buffer) { unread.append($0) }
        if !unread.isEmpty {
            // Once more with a map that leaves out what turned out to be unreadable.
            piece.buffer.truncate(to: before)
            extents = extents.flatMap { $0.without(unread.map(\.range)) }
            data = DataRanges(size: size)
            data.add(extents)
            entry.kind = .file(size: size, dataRanges: data.sparse)
            losses = (losses + unread).sorted { $0.range.lowerBound < $1.range.lowerBound }
            try encoder.append(entry, to: piece.buffer)
            start = piece.buffer.count
            append(extents, of: item, in: data, to: piece.buffer) { _ in }
        }
        // Should the map not cover the file, zeros keep the archive in step with its header.
        let count = data.byteCount
        if unread.isEmpty { piece.buffer.appendZeros(start + Int(count) - piece.buffer.count) }
        piece.bytes += extents.reduce(0) { $1.hasData ? $0 + $1.length : $0 }
        record(item, entry, data.ranges, start..<piece.buffer.count, losses, &piece)
        piece.buffer.appendZeros(ArchiveEncoder.padding(after: count))
        note(losses, of: item, &piece)
    }
}

extension ArchiveWorker {
    /// Notes what the entry of a file holds, of which `bytes` of the buffer are `ranges`.
    private func record(
        _ item: PlannedItem,
        _ entry: ArchiveEntry,
        _ ranges: [Range<UInt64>],
        _ bytes: Range<Int>,
        _ losses: [ContentReader.Loss],
        _ piece: inout ArchivePiece
    ) {
        guard isObserved else { return }
        var digest = ContentDigest(size: item.inode.size, ranges: ranges)
        piece.buffer.withBytes(bytes) { digest.add($0) }
        var missing = MissingRanges()
        missing.add(losses.map(\.range))
        var record = ArchiveRecord(item, entry)
        record.content = digest.content(missing: missing)
        piece.records.append(record)
    }

    /// Appends the bytes of `ranges`, which may reach a little beyond the data.
    private func append(
        _ extents: [FileExtent],
        of item: PlannedItem,
        in ranges: DataRanges,
        to buffer: TransferBuffer,
        _ lose: (ContentReader.Loss) -> Void
    ) {
        var next = 0
        for range in ranges.ranges {
            var position = range.lowerBound
            while next < extents.count, extents[next].fileOffset < range.upperBound {
                let extent = extents[next]
                let end = extent.fileOffset + extent.length
                if end > position {
                    let part = extent.part(position..<range.upperBound)
                    buffer.appendZeros(Int(part.fileOffset - position))
                    if part.hasData {
                        readers[item.root].append(part, to: buffer, lose)
                    } else {
                        buffer.appendZeros(Int(part.length))
                    }
                    position = part.fileOffset + part.length
                }
                guard end <= range.upperBound else { break }
                next += 1
            }
            buffer.appendZeros(Int(range.upperBound - position))
        }
    }
}

extension FileExtent {
    /// What remains of it outside `ranges`, which are in order.
    fileprivate func without(_ ranges: [Range<UInt64>]) -> [FileExtent] {
        var rest: [FileExtent] = []
        var start = fileOffset
        let end = fileOffset + length
        for range in ranges where range.overlaps(start..<end) {
            if range.lowerBound > start { rest.append(part(start..<range.lowerBound)) }
            start = min(range.upperBound, end)
        }
        if start < end { rest.append(part(start..<end)) }
        return rest
    }
}

extension PlannedItem {
    /// The kind of entry for everything that has no content of its own.
    fileprivate var kindWithoutContent: ArchiveEntry.Kind? {
        if let first = linkTo { return .hardLink(path: first) }
        switch inode.type {
        case .directory: return .directory
        case .symbolicLink: return .symbolicLink(target: target)
        case .fifo: return .fifo
        case .characterDevice, .blockDevice:
            return .device(
                isBlock: inode.type == .blockDevice,
                major: inode.device?.major ?? 0,
                minor: inode.device?.minor ?? 0
            )
        case .regular, .socket: return nil
        }
    }
}

extension ArchiveEntry {
    /// The entry of an item with its attributes; those that cannot be read are noted.
    init(
        _ item: PlannedItem,
        _ kind: Kind,
        _ extraction: Extraction,
        _ notes: inout [Note]
    ) {
        let inode = item.inode
        self.init(
            path: item.path,
            kind: kind,
            permissions: inode.permissions,
            user: inode.userID,
            group: inode.groupID,
            modified: (inode.modified.seconds, inode.modified.nanoseconds)
        )
        if case .hardLink = kind { return }
        guard inode.mayHaveAttributes else { return }
        do throws(DiskError) {
            let fileSystem = extraction.roots[item.root].fileSystem
            let found = try fileSystem.extendedAttributes(of: inode.number)
            attributes = found.map { ($0.name, $0.value) }
        } catch {
            let path = extraction.guestPath(item.path, root: item.root)
            notes.append(.problem(path, .disk(error), nil))
        }
    }
}
