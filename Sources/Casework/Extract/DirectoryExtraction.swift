internal import DiskFormats
internal import Glibc
internal import Linux

/// Writes planned files beneath one directory.
///
/// Symbolic links come after all files, so nothing can be written through one; permissions and times
/// of directories come last, so that they are not changed by what is written into them.
final class DirectoryExtraction {
    let extraction: Extraction
    let cancellation: CancellationFlag
    let buffer = TransferBuffer(capacity: 1 << 20)
    var report = ExtractionReport()
    private var progress: ProgressGate
    private var readers: [Int: ContentReader] = [:]
    /// Directories that were made, in that order.
    private var made = HeldItems()
    private var links = HeldItems()
    /// Paths of files of one root that were written and may get further names: no more than the
    /// planner remembers.
    private var linkable: Set<[UInt8]> = []
    private var linkableRoot = 0
    private var heldBytes = 0
    /// Roots before this one have the directories that they lie in.
    private var rootsBegun = 0

    init(
        _ extraction: Extraction,
        _ cancellation: CancellationFlag,
        _ show: @escaping (Extraction.Progress) -> Void
    ) {
        self.extraction = extraction
        self.cancellation = cancellation
        self.progress = ProgressGate(show)
    }

    /// Writes everything beneath the directory `path`.
    func run(into path: String) -> ExtractionReport {
        let target: TargetDirectory
        do throws(SystemError) {
            target = try TargetDirectory(path)
        } catch {
            report.ending = .failed(.system(error))
            return report
        }
        var planner = ExtractionPlanner(extraction, cancellation) { self.write($0, target) }
        planner.run()
        links.forEach { link in
            if goesOn { makeLink(link, target) }
            return goesOn
        }
        made.forEachReversed { finishDirectory($0, target) }
        if report.ending == .finished, cancellation.isSet { report.ending = .cancelled }
        if report.ending == .finished, planner.reachedLimit { report.ending = .limited }
        progress.finish()
        return report
    }

    private var goesOn: Bool { report.ending == .finished && !cancellation.isSet }

    /// Writes a batch; false ends the extraction.
    private func write(_ batch: PlannedBatch, _ target: TargetDirectory) -> Bool {
        for note in batch.notes { report.add(note) }
        for (index, item) in batch.items.enumerated() where goesOn {
            guard makeParents(of: item.root, target) else { return false }
            switch item.inode.type {
            case .directory: makeDirectory(item, target)
            case .regular where item.linkTo != nil: makeHardLink(item, target)
            case .regular:
                reader(item).readAhead(UpcomingPlaces(batch.items[index...]))
                writeFile(item, target)
            default: hold(item, &links)
            }
        }
        return goesOn
    }

    /// Makes what a root lies in, once its first item comes: another root may bring these directories.
    private func makeParents(of root: Int, _ target: TargetDirectory) -> Bool {
        guard root >= rootsBegun else { return true }
        do throws(SystemError) {
            try target.makeParents(of: extraction.roots[root].name)
        } catch {
            report.ending = .failed(.system(error))
            return false
        }
        rootsBegun = root + 1
        return true
    }

    private func reader(_ item: PlannedItem) -> ContentReader {
        if let reader = readers[item.root] { return reader }
        let reader = ContentReader(extraction.roots[item.root].fileSystem.volume)
        readers[item.root] = reader
        return reader
    }

    private func hold(_ item: PlannedItem, _ list: inout HeldItems) {
        heldBytes += HeldItems.byteCount(of: item)
        guard heldBytes <= extraction.options.heldBytesMax else {
            report.ending = .failed(.tooManyHeld)
            return
        }
        list.append(item)
    }

    func guestPath(_ item: PlannedItem) -> [UInt8] {
        extraction.guestPath(item.path, root: item.root)
    }

    func done(_ item: PlannedItem, bytes: UInt64 = 0) {
        report.bytes += bytes
        progress.add(files: 1, bytes: bytes) { guestPath(item) }
    }
}

extension DirectoryExtraction {
    private func makeDirectory(_ item: PlannedItem, _ target: TargetDirectory) {
        attempt(item) { () throws(SystemError) in
            let (parent, name) = try target.parent(of: item.path)
            try parent.makeDirectory(name)
            report.directories += 1
            hold(item, &made)
            done(item)
        }
    }

    private func makeHardLink(_ item: PlannedItem, _ target: TargetDirectory) {
        guard let first = item.linkTo, item.root == linkableRoot, linkable.contains(first) else {
            // The first name could not be written here, so this one becomes a file of its own.
            var own = item
            let window = min(item.inode.size, ExtentWindows.firstLength)
            let fileSystem = extraction.roots[item.root].fileSystem
            own.extents = ExtentWindows.read(fileSystem, item.inode.number, 0..<window)
            return writeFile(own, target)
        }
        attempt(item) { () throws(SystemError) in
            let (firstParent, firstName) = try target.parent(of: first)
            let file = try firstParent.openPathOnly(firstName)
            let (parent, name) = try target.parent(of: item.path)
            try parent.makeHardLink(name, to: file)
            report.files += 1
            done(item)
        }
    }

    private func remember(_ item: PlannedItem) {
        if item.root != linkableRoot {
            linkable.removeAll()
            linkableRoot = item.root
        }
        linkable.insert(item.path)
    }

    private func makeLink(_ item: PlannedItem, _ target: TargetDirectory) {
        attempt(item) { () throws(SystemError) in
            let (parent, name) = try target.parent(of: item.path)
            try parent.makeSymbolicLink(name, to: item.target)
            report.other += 1
            done(item)
            if extraction.options.keepsOwners {
                try parent.setOwner(of: name, user: item.inode.userID, group: item.inode.groupID)
            }
            if extraction.options.restoresMetadata {
                let time = item.inode.modified
                try parent.setModified(
                    of: name,
                    seconds: time.seconds,
                    nanoseconds: time.nanoseconds
                )
            }
        }
    }

    private func writeFile(_ item: PlannedItem, _ target: TargetDirectory) {
        attempt(item) { () throws(SystemError) in
            let (parent, name) = try target.parent(of: item.path)
            // A file gets its name when it is whole, so that no crash leaves half a file.
            let unnamed = try parent.createUnnamedFile()
            let file = if let unnamed { unnamed } else { try parent.createFile(name) }
            do throws(SystemError) {
                guard let written = try writeContent(item, to: file) else {
                    if unnamed == nil { try parent.removeFile(name) }
                    return
                }
                try finish(item, file)
                if unnamed != nil { try parent.makeHardLink(name, to: file) }
                try file.close()
                report.files += 1
                if item.isRemembered { remember(item) }
                done(item, bytes: written)
            } catch {
                if unnamed == nil { try? parent.removeFile(name) }
                throw error
            }
        }
    }

    /// Writes the data of a file and leaves its holes; nil where it was cancelled.
    private func writeContent(
        _ item: PlannedItem,
        to file: FileDescriptor
    ) throws(SystemError) -> UInt64? {
        let reader = reader(item)
        let fileSystem = extraction.roots[item.root].fileSystem
        var windows = ExtentWindows(
            fileSystem,
            inode: item.inode.number,
            from: min(item.inode.size, ExtentWindows.firstLength),
            to: item.inode.size
        )
        var written: UInt64 = 0
        var losses: [ContentReader.Loss] = []
        var extents: [FileExtent]? = item.extents
        while let window = extents {
            for extent in window {
                for part in extent.pieces(of: UInt64(ContentReader.windowBytes)) {
                    if cancellation.isSet { return nil }
                    written += try write(part, reader, to: file, &losses)
                }
            }
            extents = windows.next()
        }
        try file.truncate(to: item.inode.size)
        report(losses, of: item)
        return written
    }

    /// Writes a part of a file as far as it can be read; what cannot stays a hole.
    private func write(
        _ part: FileExtent,
        _ reader: ContentReader,
        to file: FileDescriptor,
        _ losses: inout [ContentReader.Loss]
    ) throws(SystemError) -> UInt64 {
        if case .unreadable(let error) = part.content {
            let range = part.fileOffset..<(part.fileOffset + part.length)
            losses.append(ContentReader.Loss(range: range, error: error))
        }
        guard part.hasData else { return 0 }
        buffer.removeAll()
        var lost: [ContentReader.Loss] = []
        reader.append(part, to: buffer) { lost.append($0) }
        var position = part.fileOffset
        var written: UInt64 = 0
        let end = part.fileOffset + part.length
        for hole in lost.map(\.range) + [end..<end] {
            let from = Int(position - part.fileOffset)
            let to = Int(hole.lowerBound - part.fileOffset)
            if from < to {
                try buffer.withBytes(from..<to) { bytes throws(SystemError) in
                    try file.write(bytes, at: position)
                }
                written += UInt64(to - from)
            }
            position = hole.upperBound
        }
        losses += lost
        return written
    }

    private func report(_ losses: [ContentReader.Loss], of item: PlannedItem) {
        for loss in losses.joined() {
            report.add(.problem(guestPath(item), .disk(loss.error), loss.range))
        }
        if !losses.isEmpty { report.add(.partial(guestPath(item))) }
    }

    /// Carries out one step; a failure of the destination ends everything, others this file.
    private func attempt(_ item: PlannedItem, _ body: () throws(SystemError) -> Void) {
        do throws(SystemError) {
            try body()
        } catch {
            if error.endsExtraction {
                report.ending = .failed(.system(error))
            } else if error.errno == EEXIST {
                report.add(.skipped(guestPath(item), .exists))
            } else {
                report.add(.problem(guestPath(item), .system(error), nil))
            }
        }
    }
}
