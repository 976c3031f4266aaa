internal import Casework
internal import DiskFormats
internal import JSON

/// Formats and writes the parts of a listing; for one thread.
struct ListingWriter: ~Copyable {
    private let style: FileListing.Style
    private var output = StandardOutput()
    private var json = JSONText()
    private var text: [UInt8] = []
    private var path: [UInt8] = []
    private var problemCount = 0

    /// Enough for a user to see what is wrong; the rest is counted.
    private static let problemsShownMax = 20

    init(_ style: FileListing.Style) { self.style = style }

    /// Shows a part of the listing.
    mutating func add(_ part: ListedPart) throws {
        switch part {
        case .files(let batch):
            try add(batch)
        case .event(.notMounted(let place, let error)):
            Message.warn(error.message)
            if !place.isExpendable { problemCount += 1 }
        case .event(.problem(let volume, let path, let error)):
            note(error, volume, path)
        case .event(.found(let found)):
            if case .failure(let error) = found.inode { try add(found, broken: error) }
        }
    }

    /// Writes what is still buffered; says, and returns, how much was wrong.
    mutating func finish() throws -> Int {
        try output.flush()
        if problemCount > Self.problemsShownMax {
            Message.warn("\(problemCount - Self.problemsShownMax) more problems are not shown.")
        }
        return problemCount
    }

    /// Counts trouble, and shows the first few.
    private mutating func note(
        _ error: DiskError,
        _ volume: GuestPath.VolumeName,
        _ path: [UInt8]
    ) {
        problemCount += 1
        guard problemCount <= Self.problemsShownMax else { return }
        Message.warn("\(volume):\(GuestName.escaped(path)): \(error)")
    }

    private mutating func add(_ batch: ListedBatch) throws {
        for (inode, place, shownFrom) in batch.files {
            path.removeAll(keepingCapacity: true)
            path.append(contentsOf: batch.paths[place])
            try add(inode, of: batch, shownFrom: shownFrom - place.lowerBound)
        }
    }

    private mutating func add(_ inode: Inode, of batch: ListedBatch, shownFrom: Int) throws {
        var shown: [UInt8] { shownFrom == 0 ? path : Array(path[shownFrom...]) }
        switch style {
        case .names, .paths:
            text.removeAll(keepingCapacity: true)
            GuestName.appendEscaped(shown, to: &text)
            text.append(UInt8(ascii: "\n"))
            try output.write(text)
        case .rawPaths:
            try output.write(path)
            try output.write(CollectionOfOne(0))
        case .long:
            text.removeAll(keepingCapacity: true)
            report(on: inode, of: batch).appendLong(name: shown, to: &text)
            try output.write(text)
        case .json(let consistency):
            report(on: inode, of: batch).write(to: &json) { json in
                if let consistency { json.member("consistency", consistency.rawValue) }
            }
            try endLine()
        }
    }

    private mutating func add(_ found: GuestTree.Found, broken error: DiskError) throws {
        note(error, found.volume, found.path)
        switch style {
        case .json:
            json.object { json in
                json.member("path", base64: "path_base64", found.path)
                json.member("volume", base64: "volume_base64", host: found.volume.description)
                json.member("error", error.description)
            }
            try endLine()
        case .rawPaths:
            try output.write(found.path)
            try output.write(CollectionOfOne(0))
        default:
            let name = GuestName.escaped(style == .names ? found.name : found.path)
            try output.line(style == .long ? "?????????? \(name): \(error)" : name)
        }
    }

    private mutating func report(on inode: Inode, of batch: ListedBatch) -> FileReport {
        var target: [UInt8]?
        if inode.type == .symbolicLink {
            do throws(DiskError) {
                target = try batch.fileSystem.linkTarget(of: inode.number)
            } catch {
                note(error, batch.volume, path)
            }
        }
        return FileReport(volume: batch.volume, path: path, inode: inode, target: target)
    }

    private mutating func endLine() throws {
        json.endLine()
        try output.write(json.bytes)
        json.removeAll()
    }
}
