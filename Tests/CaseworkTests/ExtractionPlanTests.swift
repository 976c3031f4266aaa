import DiskFormats
import TestSupport
import Testing

@testable import Casework

/// What the planner holds in memory, whatever a disk says.
@Suite struct ExtractionPlanTests {
    private func batches(of source: FakeFileSystem) -> [PlannedBatch] {
        var batches: [PlannedBatch] = []
        let root = Extraction.Root(source, inode: 2, guestPath: [0x2F], name: [])
        let extraction = Extraction([root], to: .directory(path: "/nowhere"))
        var planner = ExtractionPlanner(extraction, CancellationFlag()) {
            batches.append($0)
            return true
        }
        planner.run()
        return batches
    }

    @Test func `a batch ends where its files have many extents`() {
        let source = FakeFileSystem()
        let pieces = (0..<4_000).flatMap { _ in
            [FakeFileSystem.Piece.hole(4_096), .unwritten(4_096)]
        }
        for index in 0..<30 { source.addFile([UInt8]("f\(index)".utf8), pieces) }
        let counts = batches(of: source).map { $0.items.reduce(0) { $0 + $1.extents.count } }
        #expect(counts.reduce(0, +) == 240_000)
        #expect(counts.allSatisfy { $0 < 80_000 })
    }

    @Test func `first names of hard links are remembered up to 64 MiB`() {
        let source = FakeFileSystem()
        var directory: UInt64 = 2
        for _ in 0..<200 {
            directory = source.add(String(repeating: "d", count: 255), in: directory)
        }
        for index in 0..<1_500 {
            let name = [UInt8]("\(10_000 + index)".utf8)
            let file = source.addFile(name, in: directory, [.inline([1])]) { $0.linkCount = 2 }
            source.link([UInt8]("x".utf8) + name, in: directory, to: file)
        }
        let links = batches(of: source).flatMap(\.items).compactMap(\.linkTo)
        let bytes = links.reduce(0) { $0 + $1.count }
        #expect(bytes > 60 << 20)
        #expect(bytes <= 64 << 20)
    }

    @Test func `a file with several names is only remembered where a further name can lead to it`()
        throws
    {
        let source = FakeFileSystem()
        let name = String(repeating: "n", count: 250)
        var directory: UInt64 = 2
        for _ in 0..<240 { directory = source.add(name, in: directory) }
        for index in 0..<1_500 {
            source.addFile([UInt8]("\(index)".utf8), in: directory, [.inline([1])]) {
                $0.linkCount = 2
            }
        }
        let files = batches(of: source).flatMap(\.items).filter { $0.inode.type == .regular }
        let remembered = files.filter(\.isRemembered)
        #expect(files.count == 1_500)
        #expect(remembered.count > 1_000)
        #expect(remembered.reduce(0) { $0 + $1.path.count } <= 64 << 20)
    }

    @Test func `what is held comes back as it was, in both orders`() {
        var held = HeldItems()
        var items: [PlannedItem] = []
        for index in 0..<10_000 {
            var inode = Inode(
                number: UInt64(index) << 33,
                type: index % 2 == 0 ? .directory : .symbolicLink,
                permissions: UInt16(index % 4_096),
                userID: UInt32(index),
                groupID: UInt32.max - UInt32(index),
                modified: Timestamp(seconds: -Int64(index), nanoseconds: UInt32(index))
            )
            inode.mayHaveAttributes = index % 3 == 0
            let path = [UInt8](repeating: UInt8(index % 251), count: index % 700)
            var item = PlannedItem(root: index % 7, path: path, inode: inode)
            item.target = [UInt8](repeating: 1, count: index % 5)
            items.append(item)
            held.append(item)
        }
        var forward: [PlannedItem] = []
        held.forEach {
            forward.append($0)
            return forward.count < 9_999
        }
        var backward: [PlannedItem] = []
        held.forEachReversed { backward.append($0) }
        #expect(forward.count == 9_999 && backward.count == 10_000)
        for (found, expected) in zip(forward + backward.reversed(), items.dropLast() + items) {
            #expect(found.root == expected.root && found.path == expected.path)
            #expect(found.inode == expected.inode && found.target == expected.target)
        }
    }

    @Test func `nothing is looked for ahead of a file without a place`() {
        let empty = Inode(number: 5, type: .regular, permissions: 0)
        var full = Inode(number: 6, type: .regular, permissions: 0, size: 10)
        full.contiguousOffset = 4_096
        let item = { PlannedItem(root: 0, path: [1], inode: $0) }
        let items = [empty, full, empty, full].map(item)
        #expect(Array(UpcomingPlaces(items[0...])).isEmpty)
        #expect(Array(UpcomingPlaces(items[1...])).count == 2)
    }

    @Test func `remarks on long paths are counted once there is no room for them`() {
        var report = ExtractionReport()
        let path = [UInt8](repeating: 0x61, count: 60_000)
        let error = DiskError(.unreadable, "inode", "for the test")
        for _ in 0..<1_200 { report.add(.skipped(path, .socket)) }
        #expect(report.isComplete)
        report.add(.problem(path, .disk(error), nil))
        #expect(report.skipped.count < 1_200)
        #expect(report.omittedNotes == 1_201 - report.skipped.count)
        #expect(!report.isComplete)
    }
}
