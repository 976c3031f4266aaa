internal import Casework
internal import DiskFormats

/// Prints files one after the other as a walk meets them, and remembers what could not be read.
struct FileListing: ~Copyable {
    /// How files are shown.
    enum Style {
        /// JSON lines.
        case json
        /// As `ls -l`.
        case long
        /// The bare names of one directory.
        case names
        /// The whole paths.
        case paths
        /// The whole paths as bytes, each ended by NUL.
        case rawPaths
    }

    private let style: Style
    private var output = StandardOutput()
    private var json = JSONText()
    private var text: [UInt8] = []
    private var problemCount = 0

    /// Enough for a user to see what is wrong; the rest is counted.
    private static let problemsShownMax = 20

    init(_ style: Style) { self.style = style }

    /// Shows what a walk reports; in full with its path, or by its name.
    mutating func add(_ event: GuestTree.Event, showPath: Bool) throws {
        switch event {
        case .notMounted(let place, let error):
            Message.warn(error.message)
            if !place.isExpendable { problemCount += 1 }
        case .problem(let volume, let path, let error):
            note(error, volume, path)
        case .found(let found):
            switch found.inode {
            case .success(let inode): try add(found, inode, showPath: showPath)
            case .failure(let error): try add(found, broken: error)
            }
        }
    }

    /// Hands over what is still buffered, and says how much was wrong.
    mutating func finish() throws {
        try output.flush()
        if problemCount > Self.problemsShownMax {
            Message.warn("\(problemCount - Self.problemsShownMax) more problems are not shown.")
        }
    }

    /// Fails where the listing is not complete, so that no script takes it for that.
    func throwIfIncomplete() throws(GloveboxError) {
        guard problemCount > 0 else { return }
        throw GloveboxError(
            .unreadable,
            "The listing is not complete: \(problemCount) directories or files could not be read."
        )
    }

    /// Counts trouble, and shows the first few.
    mutating func note(_ error: DiskError, _ volume: GuestPath.VolumeName, _ path: [UInt8]) {
        problemCount += 1
        guard problemCount <= Self.problemsShownMax else { return }
        Message.warn("\(volume):\(GuestName.escaped(path)): \(error)")
    }

    private mutating func add(_ found: GuestTree.Found, _ inode: Inode, showPath: Bool) throws {
        switch style {
        case .names, .paths:
            text.removeAll(keepingCapacity: true)
            GuestName.appendEscaped(showPath ? found.path : found.name, to: &text)
            text.append(UInt8(ascii: "\n"))
            try output.write(text)
        case .rawPaths:
            try output.write(found.path)
            try output.write(CollectionOfOne(0))
        case .long:
            text.removeAll(keepingCapacity: true)
            report(on: found, inode)
                .appendLong(name: showPath ? found.path : found.name, to: &text)
            try output.write(text)
        case .json:
            report(on: found, inode).write(to: &json)
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

    private mutating func report(on found: GuestTree.Found, _ inode: Inode) -> FileReport {
        var target: [UInt8]?
        if inode.type == .symbolicLink {
            do throws(DiskError) {
                target = try found.fileSystem.linkTarget(of: inode.number)
            } catch {
                note(error, found.volume, found.path)
            }
        }
        return FileReport(volume: found.volume, path: found.path, inode: inode, target: target)
    }

    private mutating func endLine() throws {
        json.endLine()
        try output.write(json.bytes)
        json.removeAll()
    }
}
