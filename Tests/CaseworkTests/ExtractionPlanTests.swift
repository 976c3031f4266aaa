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
