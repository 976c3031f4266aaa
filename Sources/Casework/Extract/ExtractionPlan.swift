internal import DiskFormats

/// A file that is to be written.
struct PlannedItem: Sendable {
    /// Which root it belongs to.
    let root: Int
    /// Its path in the destination.
    let path: [UInt8]
    /// What the guest says of it.
    let inode: Inode
    /// The path in the destination of the same file, where this is another name of it.
    var linkTo: [UInt8]?
    /// Whether further names of the file will lead here.
    var isRemembered = false
    /// Of a symbolic link, its target.
    var target: [UInt8] = []
    /// Items of one run stand side by side in one directory and may change places.
    var run = 0
    /// What the block map says, where the inode alone does not say it.
    private var map: [FileExtent]?

    init(root: Int, path: [UInt8], inode: Inode, run: Int = 0) {
        self.root = root
        self.path = path
        self.inode = inode
        self.run = run
    }

    /// Of a small file, all extents; of a longer one, those of the first window.
    var extents: [FileExtent] {
        get {
            if let map { return map }
            guard let (offset, length) = contiguous else { return [] }
            let content = FileExtent.Content.volume(offset: offset)
            return [FileExtent(fileOffset: 0, length: length, content: content)]
        }
        set { map = newValue }
    }

    /// The one extent of ``extents`` where that is all; most files need no array for it.
    var contiguous: (offset: UInt64, length: UInt64)? {
        guard map == nil, linkTo == nil, let place = inode.contiguousOffset else { return nil }
        return (place, min(inode.size, ExtentWindows.firstLength))
    }

    /// How many ``extents`` are held in memory.
    var heldExtents: Int { map?.count ?? 0 }

    /// Where on the volume its first byte stands; what has no content comes after what has, and so
    /// a further name after the first.
    var place: UInt64 {
        guard inode.type == .regular, linkTo == nil else { return .max }
        if let place = inode.contiguousOffset { return place }
        for extent in extents { if case .volume(let offset) = extent.content { return offset } }
        return 0
    }
}

/// What is written at one time: depth-first, the files of a directory as they lie on the volume.
///
/// Depth-first, because programs that unpack an archive give a directory its time and permissions
/// as soon as an entry comes that is not below it.
struct PlannedBatch: Sendable {
    var items: [PlannedItem] = []
    var notes: [Note] = []
    var pathBytes = 0
    var extentCount = 0

    var count: Int { items.count }
    /// Large enough to bring files into a good order, small enough to be held in memory.
    var isFull: Bool {
        count >= 8_192 || pathBytes > 4 << 20 || extentCount > 1 << 16 || notes.count > 1_024
    }
}

/// Walks the roots and decides what becomes of each file; writes nothing.
struct ExtractionPlanner {
    private let extraction: Extraction
    private let cancellation: CancellationFlag
    private let deliver: (PlannedBatch) -> Bool
    private let takesDevices: Bool
    private var batch = PlannedBatch()
    private var linked: [UInt64: [UInt8]] = [:]
    private var linkedBytes = 0
    private var root = 0
    private var siblings = 0
    private var depth = -1
    private var fileCount = 0
    private var byteCount: UInt64 = 0
    private(set) var reachedLimit = false

    /// Files with several names that are remembered; names past it become files of their own.
    private static let linkedMax = 500_000
    /// What their paths may take together, in bytes.
    private static let linkedBytesMax = 64 << 20
    /// What each takes besides: the array, and its places in two tables.
    private static let linkedOverhead = 64

    /// Plans for a sink; `deliver` returns false to end the walk.
    init(
        _ extraction: Extraction,
        _ cancellation: CancellationFlag,
        deliver: @escaping (PlannedBatch) -> Bool
    ) {
        self.extraction = extraction
        self.cancellation = cancellation
        self.deliver = deliver
        if case .archive = extraction.sink { takesDevices = true } else { takesDevices = false }
    }

    /// Visits everything; what it finds goes to `deliver` batch by batch.
    mutating func run() {
        for index in extraction.roots.indices {
            root = index
            linked.removeAll()
            linkedBytes = 0
            guard visitRoot() else { break }
        }
        _ = flush()
    }

    private mutating func visitRoot() -> Bool {
        let start = extraction.roots[root]
        let inode: Inode
        do throws(DiskError) {
            inode = try start.fileSystem.inode(start.inode)
        } catch {
            note(.problem(start.guestPath, .disk(error), nil))
            return true
        }
        guard start.name.isEmpty || isSafe(start.name) else {
            note(.skipped(start.guestPath, .invalidName))
            return true
        }
        if !start.name.isEmpty || inode.type != .directory {
            guard visit(start.name, inode, depth: -1) else { return false }
        }
        guard inode.type == .directory else { return true }
        return walk(start)
    }

    private mutating func walk(_ start: Extraction.Root) -> Bool {
        var limits = TreeWalk.Limits()
        limits.depth = extraction.options.maximumDepth
        let prefix = start.name.isEmpty ? [] : start.name + [0x2F]
        return TreeWalk.run(
            start.fileSystem,
            from: start.inode,
            prefix: prefix,
            limits: limits
        ) { event in
            switch event {
            case .problem(let path, let error):
                let full = extraction.guestPath(path, root: root)
                note(.problem(full, .disk(error), nil))
                return flushIfFull() ? .enter : .stop
            case .item(let item):
                return visit(item)
            }
        }
    }

    private mutating func visit(_ item: TreeWalk.Item) -> TreeWalk.Next {
        let path = item.path
        if extraction.roots[root].hidden.contains(item.entry.inode) { return .skip }
        guard isSafe(item.entry.name), !item.entry.name.contains(0x2F) else {
            note(.skipped(extraction.guestPath(path, root: root), .invalidName))
            return .skip
        }
        switch item.inode {
        case .failure(let error):
            note(.problem(extraction.guestPath(path, root: root), .disk(error), nil))
            return flushIfFull() ? .skip : .stop
        case .success(let inode):
            return visit(path, inode, depth: item.depth) ? .enter : .stop
        }
    }

    /// Whether a path has only components that name something below where it starts.
    private func isSafe(_ path: [UInt8]) -> Bool {
        if path.first != 0x2E, !path.contains(0), !path.contains(0x2F) { return !path.isEmpty }
        guard !path.contains(0) else { return false }
        return path.split(separator: 0x2F, omittingEmptySubsequences: false).allSatisfy {
            !$0.isEmpty && !$0.elementsEqual([0x2E]) && !$0.elementsEqual([0x2E, 0x2E])
        }
    }
}

extension ExtractionPlanner {
    private mutating func note(_ note: Note) { batch.notes.append(note) }

    private mutating func flushIfFull() -> Bool { batch.isFull ? flush() : true }

    private mutating func flush() -> Bool {
        guard batch.count > 0 || !batch.notes.isEmpty else { return true }
        var full = batch
        batch = PlannedBatch()
        full.items.sortByPlace()
        return deliver(full) && !cancellation.isSet
    }

    /// Plans one file; false ends the walk.
    private mutating func visit(_ path: [UInt8], _ inode: Inode, depth: Int) -> Bool {
        if cancellation.isSet { return false }
        if let isOver = extraction.options.isOver, isOver() {
            reachedLimit = true
            return false
        }
        if let most = extraction.options.maximumFiles, fileCount >= most {
            note(.skipped(extraction.guestPath(path, root: root), .filesLimit))
            reachedLimit = true
            return false
        }
        let before = batch.count
        if depth != self.depth || inode.type == .directory { siblings += 1 }
        self.depth = inode.type == .directory ? -2 : depth
        plan(PlannedItem(root: root, path: path, inode: inode, run: siblings))
        if batch.count > before {
            fileCount += 1
            batch.pathBytes += path.count
            batch.extentCount += batch.items.last?.heldExtents ?? 0
        }
        return flushIfFull()
    }

    private mutating func plan(_ item: PlannedItem) {
        switch item.inode.type {
        case .directory: batch.items.append(item)
        case .regular: planFile(item)
        case .symbolicLink: planLink(item)
        case .socket: skip(item, .socket)
        case .fifo where !takesDevices: skip(item, .fifo)
        case .characterDevice where !takesDevices, .blockDevice where !takesDevices:
            skip(item, .device)
        case .fifo, .characterDevice, .blockDevice: batch.items.append(item)
        }
    }

    private mutating func skip(_ item: PlannedItem, _ reason: ExtractionReport.Reason) {
        note(.skipped(extraction.guestPath(item.path, root: root), reason))
    }

    private mutating func planLink(_ item: PlannedItem) {
        var item = item
        do throws(DiskError) {
            item.target = try extraction.roots[root].fileSystem.linkTarget(of: item.inode.number)
            batch.pathBytes += item.target.count
            batch.items.append(item)
        } catch {
            note(.problem(extraction.guestPath(item.path, root: root), .disk(error), nil))
        }
    }

    private mutating func planFile(_ item: PlannedItem) {
        var item = item
        switch item.inode.obstacle {
        case .encrypted?: return skip(item, .encrypted)
        case .verity?: return skip(item, .verity)
        case nil: break
        }
        if item.inode.linkCount > 1 {
            if let first = linked[item.inode.number] {
                item.linkTo = first
                return batch.items.append(item)
            }
        }
        if item.contiguous == nil {
            let window = min(item.inode.size, ExtentWindows.firstLength)
            let fileSystem = extraction.roots[root].fileSystem
            item.extents = ExtentWindows.read(fileSystem, item.inode.number, 0..<window)
        }
        guard isWithinBytes(item) else { return skip(item, .bytesLimit) }
        let bytes = item.path.count + Self.linkedOverhead
        if item.inode.linkCount > 1, linked.count < Self.linkedMax,
            linkedBytes + bytes <= Self.linkedBytesMax
        {
            item.isRemembered = true
            linked[item.inode.number] = item.path
            linkedBytes += bytes
        }
        batch.items.append(item)
    }

    private mutating func isWithinBytes(_ item: PlannedItem) -> Bool {
        guard let most = extraction.options.maximumBytes else { return true }
        // Of a long file, what is allocated is a bound that need not be read to be known.
        var count = item.extents.reduce(UInt64(0)) { $1.hasData ? $0 &+ $1.length : $0 }
        if item.inode.size > ExtentWindows.firstLength {
            count = min(item.inode.size, max(count, item.inode.allocatedBytes))
        }
        guard count <= most, byteCount <= most - count else { return false }
        byteCount += count
        return true
    }
}

extension [PlannedItem] {
    /// Each item's run, place and index; through a span, since a subscript copies the item.
    private var places: [(run: Int, place: UInt64, index: Int)] {
        var places: [(run: Int, place: UInt64, index: Int)] = []
        places.reserveCapacity(count)
        let items = span
        for index in items.indices {
            places.append((items[index].run, items[index].place, index))
        }
        return places
    }

    /// Within each run in the order in which the first bytes stand on the volume.
    fileprivate mutating func sortByPlace() {
        var order = places
        let isSorted = zip(order, order.dropFirst()).allSatisfy {
            ($0.run, $0.place) <= ($1.run, $1.place)
        }
        if isSorted { return }
        order.sort { ($0.run, $0.place, $0.index) < ($1.run, $1.place, $1.index) }
        // Each circle of places is gone round once: items move, which costs less than copies.
        var items = mutableSpan
        for start in order.indices {
            var index = start
            while order[index].index != start {
                let next = order[index].index
                items.swapAt(index, next)
                order[index].index = index
                index = next
            }
            order[index].index = index
        }
    }
}

/// Where the content of files stands on the volume of the first one, in the order of the files.
///
/// Empty where the first one has none: a disk with nothing but empty files costs nothing here.
struct UpcomingPlaces: Sequence, IteratorProtocol {
    private let items: ArraySlice<PlannedItem>
    private var index: Int
    private var extents: ArraySlice<FileExtent> = []
    private var hasFound = false

    /// How many files are looked at: what is read at once has no more.
    private static let itemsMax = 512

    init(_ items: ArraySlice<PlannedItem>) {
        self.items = items.prefix(Self.itemsMax)
        index = items.startIndex
    }

    mutating func next() -> (offset: UInt64, length: UInt64)? {
        while true {
            while let extent = extents.popFirst() {
                if let place = extent.placeOnVolume {
                    hasFound = true
                    return place
                }
            }
            guard index < items.endIndex, index == items.startIndex || hasFound,
                items[index].root == items[items.startIndex].root
            else { return nil }
            index += 1
            if let place = items[index - 1].contiguous {
                hasFound = true
                return place
            }
            extents = items[index - 1].extents[...]
        }
    }
}
