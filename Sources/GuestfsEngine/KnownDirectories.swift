internal import DiskFormats
internal import EngineProtocol

/// What listings have told of directories, so that not every file in them is asked about alone.
///
/// Good for as long as the appliance runs: what is mounted there is read-only, and a mount point is
/// used once. Bounded; what it does not know has to be asked for.
struct KnownDirectories {
    private struct Directory {
        var names: [[UInt8]] = []
        /// Where each name is in `names`.
        var places: [[UInt8]: Int] = [:]
        /// Which of them are regular files.
        var regular: Set<Int> = []
        /// False where its attributes do not fit into one message.
        var answersTogether = true
    }

    private var directories: [[UInt8]: Directory] = [:]
    private var nameCount = 0
    private var attributes: [[UInt8]: [ExtendedAttribute]] = [:]
    private var attributeBytes = 0

    /// As many as a walk has listed before it reads the first of them.
    private static let namesMax = 131_072
    private static let attributeBytesMax = 16 << 20
    /// About what an entry of a table takes.
    private static let entryBytes = 128
    /// How many files are asked about at once.
    private static let blockCount = 256

    /// Takes note of names that a listing of `directory` gave.
    mutating func add(_ names: [[UInt8]], _ statuses: [WorkerStatus?], in directory: [UInt8]) {
        if nameCount + names.count > Self.namesMax {
            directories = [:]
            nameCount = 0
        }
        guard names.count <= Self.namesMax else { return }
        var known = directories.removeValue(forKey: directory) ?? Directory()
        for (name, status) in zip(names, statuses) where known.places[name] == nil {
            known.places[name] = known.names.count
            if status?.inode.type == .regular { known.regular.insert(known.names.count) }
            known.names.append(name)
            nameCount += 1
        }
        directories[directory] = known
    }

    /// Whether a listing said that this is a regular file.
    func isRegular(_ path: [UInt8]) -> Bool {
        let (directory, name) = Self.parts(of: path)
        guard let known = directories[directory], let place = known.places[name] else {
            return false
        }
        return known.regular.contains(place)
    }

    /// The attributes of a file, with which those of the files around it are asked for.
    ///
    /// `ask` gives those of names in a directory, nil where it cannot for one. Nil where the file has
    /// to be asked about alone.
    mutating func attributes<Failure: Error>(
        of path: [UInt8],
        ask: (_ names: [[UInt8]], _ directory: [UInt8]) throws(Failure) -> [[ExtendedAttribute]?]
    ) -> [ExtendedAttribute]? {
        if let found = attributes[path] { return found }
        let (directory, name) = Self.parts(of: path)
        guard let known = directories[directory], known.answersTogether,
            let place = known.places[name]
        else { return nil }
        // The same blocks whatever the order is in which files are asked about.
        let first = place / Self.blockCount * Self.blockCount
        let block = Array(known.names[first..<min(first + Self.blockCount, known.names.count)])
        guard let found = try? ask(block, directory), found.count == block.count else {
            directories[directory]?.answersTogether = false
            return nil
        }
        for (name, attributes) in zip(block, found) {
            if let attributes { keep(attributes, of: directory + [UInt8(ascii: "/")] + name) }
        }
        return found[place - first]
    }

    private mutating func keep(_ some: [ExtendedAttribute], of path: [UInt8]) {
        let bytes = some.reduce(Self.entryBytes + path.count) { sum, attribute in
            sum + Self.entryBytes + attribute.name.count + attribute.value.count
        }
        if attributeBytes + bytes > Self.attributeBytesMax {
            attributes = [:]
            attributeBytes = 0
        }
        if attributes.updateValue(some, forKey: path) == nil { attributeBytes += bytes }
    }

    private static func parts(of path: [UInt8]) -> (directory: [UInt8], name: [UInt8]) {
        let slash = path.lastIndex(of: UInt8(ascii: "/")) ?? 0
        return (Array(path[..<slash]), Array(path[slash...].dropFirst()))
    }
}
