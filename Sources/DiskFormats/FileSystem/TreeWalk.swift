/// Walks a directory tree depth-first, in the byte order of the names within each directory.
///
/// A directory comes before what is in it. Every directory is entered once: one that was entered
/// before, such as its own ancestor, is reported as ``DiskError/Reason/inconsistent`` instead. The
/// machine stack is not used for depth, and memory holds the directories that are open and one bit
/// for each that was entered, never the whole tree.
package struct TreeWalk {
    /// What bounds a walk; what lies past a bound is reported as ``DiskError/Reason/refused``.
    package struct Limits: Sendable {
        /// How many directories deep below the start the walk goes.
        package var depth = 4_096
        /// The longest path, in bytes from the start on, whose directory is entered.
        package var pathBytes = 65_536
        /// How much memory the names in the open directories may take, and what is remembered of the
        /// directories that were entered.
        package var heldBytes = DirectoryListing.heldBytesMax

        /// The defaults.
        package init() {}
    }

    /// What was found under one name.
    package struct Item {
        /// The prefix that was asked for, then the path from the start of the walk on.
        package let path: [UInt8]
        /// How many directories lie between the start and this name: 0 in the start itself.
        package let depth: Int
        /// The name as the directory has it.
        package let entry: DirectoryEntry
        /// What the name leads to, or why that could not be read.
        package let inode: Result<Inode, DiskError>
    }

    /// One report of the walk.
    package enum Event {
        /// A name in a directory.
        case item(Item)
        /// Trouble with the directory `path` (the bare prefix: the start); what it names may be
        /// incomplete.
        case problem(path: [UInt8], DiskError)
    }

    /// How to go on.
    package enum Next {
        /// Enter the directory, if it is one, and go on.
        case enter
        /// Go on without entering the directory.
        case skip
        /// End the walk.
        case stop
    }

    /// How many inodes are kept read ahead in all open directories together.
    private static let heldInodesMax = 131_072
    /// How many are read ahead at first: little, so that a large directory begins at once, and that
    /// the processor's own cache holds them.
    private static let firstWindow = 4_096
    /// In directories with more names than this each window is twice as long as the one before:
    /// their part of the inode table is more than a file system keeps in memory, and is read once
    /// for each window.
    private static let doublingNamesMin = 131_072
    /// What a word of 64 bits in the set of entered directories takes while the set grows.
    private static let enteredWordBytes = 64

    private struct Frame {
        var entries: [DirectoryEntry]
        /// The entries of `entries` by name: the walk follows this order.
        var order: [UInt32]
        var next = 0
        /// The inodes of the entries from `ahead` on, read in the order of their numbers.
        var inodes: [Inode] = []
        /// Which of them could not be read, and why.
        var failures: [Int: DiskError] = [:]
        var ahead = 0
        var window = TreeWalk.firstWindow
        /// Length of the path of this directory.
        var pathBytes: Int
        /// What its names take.
        var heldBytes: Int

        func inode(at index: Int) -> Result<Inode, DiskError> {
            if !failures.isEmpty, let error = failures[index] { return .failure(error) }
            return .success(inodes[index])
        }
    }

    private let fileSystem: any FileSystem
    private let limits: Limits
    private let prefixBytes: Int
    private var frames: [Frame] = []
    /// The latest path, which begins with that of each open directory.
    private var path: [UInt8]
    private var entered: [UInt64: UInt64] = [:]
    private var heldBytes = 0
    private var heldInodes = 0

    private init(_ fileSystem: any FileSystem, _ prefix: [UInt8], _ limits: Limits) {
        self.fileSystem = fileSystem
        self.limits = limits
        path = prefix
        prefixBytes = prefix.count
    }

    /// Reports everything below `directory`, but not the directory itself, to `body`.
    ///
    /// All paths begin with `prefix`, which ends with a slash unless it is empty. Returns false
    /// where `body` stopped the walk. Throws only what `body` throws.
    @discardableResult
    package static func run<Failure: Error>(
        _ fileSystem: any FileSystem,
        from directory: UInt64,
        prefix: [UInt8] = [],
        limits: Limits = Limits(),
        _ body: (Event) throws(Failure) -> Next
    ) throws(Failure) -> Bool {
        var walk = TreeWalk(fileSystem, prefix, limits)
        guard try walk.open(directory, body) else { return false }
        while !walk.frames.isEmpty {
            guard try walk.step(body) else { return false }
        }
        return true
    }
}

extension TreeWalk {
    /// Reports the next name of the innermost directory, or leaves it where there is none.
    private mutating func step<Failure: Error>(
        _ body: (Event) throws(Failure) -> Next
    ) throws(Failure) -> Bool {
        let top = frames.count - 1
        guard frames[top].next < frames[top].order.count else {
            leave()
            return true
        }
        let inode = nextInode()
        let entry = frames[top].entries[Int(frames[top].order[frames[top].next])]
        frames[top].next += 1
        path = path(of: entry.name, directoryBytes: frames[top].pathBytes)
        let item = Item(path: path, depth: top, entry: entry, inode: inode)
        switch try body(.item(item)) {
        case .stop: return false
        case .skip: return true
        case .enter: break
        }
        guard case .success(let found) = inode, found.type == .directory else { return true }
        return try open(entry.inode, body)
    }

    /// The path of a name in the directory whose path is the first `directoryBytes` of ``path``.
    ///
    /// An array of its own, with room for its bytes alone. Were ``path`` cut and extended instead,
    /// each path that is kept would keep the room of the longest before it, and somewhat more: an
    /// array that makes way for a kept one asks for its room anew, and takes what malloc adds to it.
    private func path(of name: [UInt8], directoryBytes: Int) -> [UInt8] {
        var path: [UInt8] = []
        path.reserveCapacity(directoryBytes + 1 + name.count)
        path += self.path[..<directoryBytes]
        if directoryBytes > prefixBytes { path.append(0x2F) }
        path += name
        return path
    }

    private mutating func leave() {
        guard let last = frames.popLast() else { return }
        heldBytes -= last.heldBytes
        heldInodes -= last.inodes.count
    }

    /// Lists `directory`, whose path is `path`, and makes it the innermost.
    private mutating func open<Failure: Error>(
        _ directory: UInt64,
        _ body: (Event) throws(Failure) -> Next
    ) throws(Failure) -> Bool {
        if let refusal = refusal(of: directory) {
            return try body(.problem(path: path, refusal)) != .stop
        }
        entered[directory >> 6, default: 0] |= 1 << (directory & 63)
        let listing: DirectoryListing
        do throws(DiskError) {
            listing = try fileSystem.entries(of: directory, heldBytesMax: room)
        } catch {
            return try body(.problem(path: path, error)) != .stop
        }
        for problem in listing.problems where try body(.problem(path: path, problem)) == .stop {
            return false
        }
        let order = NameOrder.sorted(listing.entries)
        let held = listing.entries.reduce(0) { $0 + $1.heldBytes }
        heldBytes += held
        frames.append(
            Frame(entries: listing.entries, order: order, pathBytes: path.count, heldBytes: held)
        )
        return true
    }

    /// What the names of a further directory may take.
    private var room: Int { limits.heldBytes - heldBytes - entered.count * Self.enteredWordBytes }

    private func refusal(of directory: UInt64) -> DiskError? {
        let name = "directory with inode \(directory)"
        if let word = entered[directory >> 6], word >> (directory & 63) & 1 == 1 {
            return DiskError(.inconsistent, name, "has a second name; it was entered before")
        }
        if frames.count > limits.depth {
            return DiskError(.refused, name, "more than \(limits.depth) directories deep")
        }
        if path.count - prefixBytes > limits.pathBytes {
            return DiskError(.refused, name, "path of more than \(limits.pathBytes) bytes")
        }
        if room <= 0 {
            return DiskError(
                .refused,
                name,
                "the names in the directories above it take all memory; look at it by itself"
            )
        }
        return nil
    }

    /// The inode of the next entry, from those read ahead where there are some.
    ///
    /// Names in byte order lead to inodes all over the volume; read in the order of their numbers,
    /// each block of the inode table is needed once.
    private mutating func nextInode() -> Result<Inode, DiskError> {
        let top = frames.count - 1
        let next = frames[top].next
        let index = next - frames[top].ahead
        if index < frames[top].inodes.count { return frames[top].inode(at: index) }

        heldInodes -= frames[top].inodes.count
        frames[top].inodes.removeAll(keepingCapacity: true)
        frames[top].failures = [:]
        frames[top].ahead = next
        let most = min(frames[top].window, Self.heldInodesMax - heldInodes)
        let window = min(frames[top].order.count - next, most)
        if frames[top].order.count > Self.doublingNamesMin {
            frames[top].window = min(frames[top].window * 2, Self.heldInodesMax)
        }
        guard window > 1 else {
            return read(frames[top].entries[Int(frames[top].order[next])].inode)
        }
        readAhead(count: window)
        heldInodes += window
        return frames[top].inode(at: 0)
    }

    /// Reads the inodes of the next `count` entries of the innermost directory.
    private mutating func readAhead(count: Int) {
        let top = frames.count - 1
        let next = frames[top].next
        var byNumber = (0..<count).map {
            let entry = Int(frames[top].order[next + $0])
            return ByNumber(inode: frames[top].entries[entry].inode, index: $0)
        }
        byNumber.sort { $0.inode < $1.inode }
        let unread = Inode(number: 0, type: .regular, permissions: 0)
        var inodes = frames[top].inodes
        frames[top].inodes = []
        inodes.append(contentsOf: repeatElement(unread, count: count))
        for one in byNumber {
            do throws(DiskError) {
                inodes[one.index] = try fileSystem.inode(one.inode)
            } catch {
                frames[top].failures[one.index] = error
            }
        }
        frames[top].inodes = inodes
    }

    private func read(_ number: UInt64) -> Result<Inode, DiskError> {
        do throws(DiskError) {
            return .success(try fileSystem.inode(number))
        } catch {
            return .failure(error)
        }
    }

    private struct ByNumber {
        let inode: UInt64
        let index: Int
    }
}

/// Sorts the names of a directory by their bytes.
package enum NameOrder {
    private struct Key {
        /// Eight bytes of the name after the prefix that all names share, as a number.
        let leading: UInt64
        let index: UInt32
    }

    /// The indices of `entries` in the byte order of their names; equal names keep their order.
    package static func sorted(_ entries: [DirectoryEntry]) -> [UInt32] {
        guard let first = entries.first else { return [] }
        var shared = first.name.count
        for entry in entries {
            shared = min(shared, entry.name.count)
            var index = 0
            while index < shared, entry.name[index] == first.name[index] { index += 1 }
            shared = index
        }
        var keys = entries.indices.map {
            Key(
                leading: leading(entries[$0].name, from: shared),
                index: UInt32(truncatingIfNeeded: $0)
            )
        }
        keys.sort { left, right in
            if left.leading != right.leading { return left.leading < right.leading }
            return precedes(entries, left.index, right.index)
        }
        return keys.map(\.index)
    }

    private static func leading(_ name: [UInt8], from start: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in start..<(start + 8) {
            value = value << 8 | (index < name.count ? UInt64(name[index]) : 0)
        }
        return value
    }

    private static func precedes(
        _ entries: [DirectoryEntry],
        _ left: UInt32,
        _ right: UInt32
    ) -> Bool {
        let (first, second) = (entries[Int(left)].name, entries[Int(right)].name)
        if first == second { return left < right }
        return first.lexicographicallyPrecedes(second)
    }
}
