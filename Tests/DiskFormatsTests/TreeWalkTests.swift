import TestSupport
import Testing

@testable import DiskFormats

@Suite struct TreeWalkTests {
    /// What a walk reports: paths as text, and the reasons of problems by path.
    private func walk(
        _ tree: FakeFileSystem,
        limits: TreeWalk.Limits = TreeWalk.Limits()
    ) -> (paths: [String], problems: [String: DiskError.Reason]) {
        var paths: [String] = []
        var problems: [String: DiskError.Reason] = [:]
        TreeWalk.run(tree, from: tree.rootInode, limits: limits) { event in
            switch event {
            case .item(let item): paths.append(String(decoding: item.path, as: UTF8.self))
            case .problem(let path, let error):
                problems[String(decoding: path, as: UTF8.self)] = error.reason
            }
            return .enter
        }
        return (paths, problems)
    }

    @Test func `names come in byte order, a directory before what is in it`() {
        let tree = FakeFileSystem()
        tree.addFile("b", text: "")
        let directory = tree.add("a")
        tree.addFile("z", in: directory, text: "")
        tree.addFile("Z", in: directory, text: "")
        tree.addFile("a.txt", text: "")
        #expect(walk(tree).paths == ["a", "a/Z", "a/z", "a.txt", "b"])
    }

    @Test func `the order is that of the bytes for long, short and equal prefixes`() {
        let names = (0..<3_000).map { index in
            let text = String(index &* 2_654_435_761 % 100_003, radix: 7)
            return [UInt8]("prefix-of-all-\(text)".utf8) + (index % 5 == 0 ? [0] : [])
        }
        let entries = names.map { DirectoryEntry(name: $0, inode: 1, type: nil) }
        let sorted = NameOrder.sorted(entries).map { names[Int($0)] }
        #expect(sorted == names.sorted { $0.lexicographicallyPrecedes($1) })
    }

    @Test func `a directory below itself is reported and not entered`() {
        let tree = FakeFileSystem()
        let directory = tree.add("a")
        tree.link([0x62], in: directory, to: 2)
        tree.link([0x63], in: directory, to: directory)
        tree.addFile("d", in: directory, text: "")
        let found = walk(tree)
        #expect(found.paths == ["a", "a/b", "a/c", "a/d"])
        #expect(found.problems == ["a/b": .inconsistent, "a/c": .inconsistent])
    }

    @Test func `a directory with two names is entered once`() {
        let tree = FakeFileSystem()
        let directory = tree.add("a")
        tree.addFile("f", in: directory, text: "")
        tree.link([0x62], in: 2, to: directory)
        let found = walk(tree)
        #expect(found.paths == ["a", "a/f", "b"])
        #expect(found.problems == ["b": .inconsistent])
    }

    @Test func `depth and length of paths are bounded, and the machine stack is not used`() {
        let tree = FakeFileSystem()
        var directory: UInt64 = 2
        for _ in 0..<50_000 { directory = tree.add("d", in: directory) }
        #expect(walk(tree).paths.count == 4_097)
        #expect(walk(tree).problems.values.map { $0 } == [.refused])
        var limits = TreeWalk.Limits()
        limits.depth = 100_000
        limits.pathBytes = 1_001
        #expect(walk(tree, limits: limits).paths.count == 502)
    }

    @Test func `names past what memory may hold are a problem, not a larger process`() {
        let tree = FakeFileSystem()
        let first = tree.add("a")
        for index in 0..<100 { tree.addFile("f\(100 + index)", in: first, text: "") }
        let second = tree.add("b", in: first)
        for index in 0..<100 { tree.addFile("g\(100 + index)", in: second, text: "") }
        tree.addFile("z", text: "")
        let all = walk(tree)
        #expect(all.paths.count == 203 && all.problems.isEmpty)

        var limits = TreeWalk.Limits()
        limits.heldBytes = 20_000
        let some = walk(tree, limits: limits)
        #expect(some.problems == ["a/b": .unsupported])
        // The names of `a` are all there, and what comes after the directory that did not fit.
        #expect(some.paths.contains("a/f199") && some.paths.last == "z")
        #expect(some.paths.count > 103 && some.paths.count < 203)

        limits.heldBytes = 8_000
        let few = walk(tree, limits: limits)
        #expect(few.problems == ["a": .unsupported])
        #expect(few.paths.count > 3 && few.paths.count < 103)
    }

    @Test func `a directory that is left makes room for the next`() {
        let tree = FakeFileSystem()
        for name in ["a", "b", "c", "d"] {
            let directory = tree.add(name)
            for index in 0..<50 { tree.addFile("f\(index)", in: directory, text: "") }
        }
        var limits = TreeWalk.Limits()
        limits.heldBytes = 8_000
        #expect(walk(tree, limits: limits).problems.isEmpty)
        #expect(walk(tree, limits: limits).paths.count == 204)
    }

    @Test func `where nothing may be held any more, a directory is refused by name`() {
        let tree = FakeFileSystem()
        let first = tree.add("a")
        tree.addFile("f", in: tree.add("b", in: first), text: "")
        var limits = TreeWalk.Limits()
        limits.heldBytes = 2 * (DirectoryEntry.heldBytes(nameLength: 1) + 32)
        #expect(walk(tree, limits: limits).problems == ["a/b": .refused])
    }

    @Test func `a damaged inode is an item, a damaged directory a problem, and both cost no more`()
    {
        let tree = FakeFileSystem()
        let broken = tree.add("a")
        tree.listings[broken] = nil
        let partial = tree.add("b")
        tree.listings[partial]?.problems = [DiskError(.badChecksum, "leaf", "wrong")]
        tree.addFile("kept", in: partial, text: "")
        tree.link([0x63], in: 2, to: 4_711)
        var failures: [DiskError.Reason] = []
        TreeWalk.run(tree, from: 2) { event in
            if case .item(let item) = event, case .failure(let error) = item.inode {
                failures.append(error.reason)
            }
            return .enter
        }
        let found = walk(tree)
        #expect(failures == [.outOfRange])
        #expect(found.paths == ["a", "b", "b/kept", "c"])
        #expect(found.problems == ["a": .inconsistent, "b": .badChecksum])
    }

    @Test func `a path that is kept takes its own bytes, not those of a longer one before it`() {
        let tree = FakeFileSystem()
        let long = String(repeating: "d", count: 255)
        var deepest: UInt64 = 2
        for _ in 0..<20 { deepest = tree.add(long, in: deepest) }
        for index in 0..<100 { tree.addFile("in \(index)", in: deepest, text: "") }
        for index in 0..<100 { tree.addFile("past \(index)", text: "") }
        var kept: [[UInt8]] = []
        TreeWalk.run(tree, from: 2) { event in
            if case .item(let item) = event { kept.append(item.path) }
            return .enter
        }
        #expect(kept.count == 220)
        #expect(kept.allSatisfy { $0.capacity <= $0.count + 64 })
    }

    @Test func `the visitor can leave directories out and end the walk`() {
        let tree = FakeFileSystem()
        let directory = tree.add("a")
        tree.addFile("f", in: directory, text: "")
        tree.addFile("b", text: "")
        tree.addFile("c", text: "")
        var paths: [[UInt8]] = []
        let whole = TreeWalk.run(tree, from: 2) { event in
            guard case .item(let item) = event else { return .stop }
            paths.append(item.path)
            return item.path == [0x62] ? .stop : .skip
        }
        #expect(!whole)
        #expect(paths == [[0x61], [0x62]])
    }
}
