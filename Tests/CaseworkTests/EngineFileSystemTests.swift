import DiskFormats
import EngineProtocol
import Linux
import Testing

@testable import Casework

/// The front's side against a worker that is played here, honest or not.
@Suite struct EngineFileSystemTests {
    @Test func `numbers are the files' own, and stay with the file`() throws {
        var table = NodeTable(.inodes, root: status(64, .directory, on: 1))
        let first = try table.number(of: status(70, on: 1), name: [1], in: 64)
        #expect(first == 70)
        #expect(try table.number(of: status(70, on: 1), name: [2], in: 64) == 70)
        #expect(try table.path(of: 70) == [0x2F, 1])
        #expect(try table.path(of: 64) == [0x2F])
    }

    @Test func `subvolumes with the same numbers do not mix`() throws {
        var table = NodeTable(.inodes, root: status(256, .directory, on: 1))
        let one = try table.number(of: status(256, .directory, on: 2), name: [1], in: 256)
        let other = try table.number(of: status(256, .directory, on: 3), name: [2], in: 256)
        let inner = try table.number(of: status(257, on: 3), name: [3], in: other)
        #expect(Set([256, one, other, inner, 257]).count == 5)
        #expect(try table.path(of: inner) == [0x2F, 2, 0x2F, 3])
    }

    @Test func `files of FAT are told by their names`() throws {
        var table = NodeTable(.names, root: status(1, .directory, on: 1))
        let one = try table.number(of: status(99, on: 1), name: [1], in: table.root)
        let other = try table.number(of: status(99, on: 1), name: [2], in: table.root)
        #expect(one != other)
        #expect(try table.number(of: status(5, on: 1), name: [1], in: table.root) == one)
    }

    @Test func `a number that nobody gave out leads nowhere`() {
        let table = NodeTable(.inodes, root: status(2, .directory, on: 1))
        #expect(throws: DiskError.self) { try table.path(of: 3) }
    }

    @Test func `a path longer than the appliance opens is refused by name`() throws {
        var table = NodeTable(.inodes, root: status(1, .directory, on: 1))
        let name = [UInt8](repeating: 0x61, count: 255)
        var parent: UInt64 = 1
        for number in UInt64(2)..<20 {
            parent = try table.number(of: status(number, .directory, on: 1), name: name, in: parent)
        }
        #expect { try table.path(of: parent) } throws: {
            ($0 as? DiskError)?.reason == .unsupported
        }
    }

    @Test func `each file has a range of its own, and nothing lies between`() throws {
        let content = EngineContent { file, offset, count throws(DiskError) in
            (0..<count).map { UInt8(truncatingIfNeeded: Int(file) + Int(offset) + $0) }
        }
        let first = try content.place(of: 1, size: 10)
        let second = try content.place(of: 2, size: 5 << 20)
        let third = try content.place(of: 3, size: 0)
        #expect(try content.place(of: 1, size: 10) == first)
        #expect(second - first > 10 + 65_536 && third - second > 5 << 20)
        #expect(try content.bytes(at: first + 4, count: 6) == [5, 6, 7, 8, 9, 10])
        #expect(try content.bytes(at: second, count: 5 << 20).count == 5 << 20)
        for (start, count) in [(first + 5, 6), (first + 10, 1), (second - 1, 1), (third, 1)] {
            #expect(throws: DiskError.self) { try content.bytes(at: start, count: count) }
        }
        #expect { try content.place(of: 4, size: 1 << 62) } throws: {
            ($0 as? DiskError)?.reason == .refused
        }
    }

    @Test func `long reads take the longest requests there are, each once`() throws {
        let size = UInt64(5 << 20)
        let asked = Monitor<[UInt64]>([])
        let content = EngineContent { _, offset, count throws(DiskError) in
            asked.update { $0.append(offset) }
            return (0..<count).map { UInt8(truncatingIfNeeded: (Int(offset) + $0) / 4_099) }
        }
        let place = try content.place(of: 1, size: size)
        var bytes: [UInt8] = []
        // Across the ends of pieces, as no reader's own buffer divides them.
        for start in stride(from: 0, to: Int(size), by: 300_000) {
            let count = min(300_000, Int(size) - start)
            bytes += try content.bytes(at: place + UInt64(start), count: count)
        }
        #expect(bytes == (0..<Int(size)).map { UInt8(truncatingIfNeeded: $0 / 4_099) })
        #expect(asked.update { $0 } == [0, 2 << 20, 4 << 20])
        _ = try content.bytes(at: place + 7, count: 4_096)
        #expect(asked.update { $0.count } == 3)
    }

    @Test func `an unreadable block takes nothing with it that can be read`() throws {
        let bad: UInt64 = 1_500_000
        let content = EngineContent { _, offset, count throws(DiskError) in
            if (offset..<offset + UInt64(count)).contains(bad) {
                throw DiskError(.unreadable, "file", "a bad block")
            }
            return (0..<count).map { UInt8(truncatingIfNeeded: Int(offset) + $0) }
        }
        let place = try content.place(of: 1, size: 4 << 20)
        #expect(try content.bytes(at: place, count: 1 << 20).count == 1 << 20)
        #expect(try content.bytes(at: place + bad + 1, count: 2 << 20).count == 2 << 20)
        #expect(throws: DiskError.self) { try content.bytes(at: place + bad, count: 1) }
        #expect(try content.bytes(at: place + bad + 1, count: 3) == [0x61, 0x62, 0x63])
    }

    @Test func `a file is what the worker says of it`() throws {
        let worker = try PlayedWorker { request in
            switch request {
            case .entries: [.entries([entry("a", 7, size: 3)], isLast: true)]
            case .status(_, let path) where path == Array("/a".utf8): [.status(file(7, 3))]
            case .status: [.failure(WorkerFailure(.noEntry, "no such file"))]
            case .read(_, _, let offset, let count):
                [.bytes(Array("abc".utf8.dropFirst(Int(offset)).prefix(Int(count))))]
            default: [.failure(WorkerFailure(.disk, "not asked for here"))]
            }
        }
        let system = worker.fileSystem()
        #expect(try system.entries(of: 2).entries.map(\.inode) == [7])
        #expect(try system.content(of: 7, limit: 10) == Array("abc".utf8))
        #expect(try system.lookup(Array("a".utf8), in: 2) == 7)
        #expect(try system.lookup(Array("b".utf8), in: 2) == nil)
        #expect(try system.lookup(Array("..".utf8), in: 2) == nil)
        #expect(!system.knowsExtents)
        #expect(throws: DiskError.self) { try system.linkTarget(of: 7) }
    }

    @Test func `fewer bytes than asked for are an error, and end the conversation`() throws {
        let worker = try PlayedWorker { request in
            switch request {
            case .entries: [.entries([entry("a", 7, size: 3)], isLast: true)]
            default: [.bytes([1])]
            }
        }
        let system = worker.fileSystem()
        _ = try system.entries(of: 2)
        #expect(throws: DiskError.self) { try system.content(of: 7, limit: 10) }
        #expect(throws: DiskError.self) { try system.entries(of: 2) }
    }

    @Test func `a worker that dies is an error, not an empty directory`() throws {
        let worker = try PlayedWorker { _ in [] }
        #expect(throws: DiskError.self) { try worker.fileSystem().entries(of: 2) }
    }

    @Test func `a directory that never ends is cut short`() throws {
        let worker = try PlayedWorker { _ in [.entries([], isLast: false)] }
        #expect(throws: DiskError.self) { try worker.fileSystem().entries(of: 2) }
    }
}

private func status(
    _ number: UInt64,
    _ type: FileType = .regular,
    on device: UInt64
) -> WorkerStatus {
    WorkerStatus(device: device, inode: Inode(number: number, type: type, permissions: 0o644))
}

private func file(_ number: UInt64, _ size: UInt64) -> WorkerStatus {
    var status = status(number, on: 1)
    status.inode.size = size
    return status
}

private func entry(_ name: String, _ number: UInt64, size: UInt64) -> WorkerEntry {
    WorkerEntry(name: Array(name.utf8), status: file(number, size))
}

/// The other end of the channel: gives prepared answers; an empty list hangs up.
private struct PlayedWorker {
    let client: WorkerClient

    init(_ play: @escaping @Sendable (WorkerRequest) -> [WorkerAnswer]) throws {
        let (ours, theirs) = try Channel.pair(named: "played worker")
        client = WorkerClient(
            EngineProcesses(channel: ours, sockets: [], directory: "/", owner: 0)
        )
        let end = Handed(theirs)
        _ = WorkerThread {
            guard let channel = end.take() else { return }
            while let message = try? channel.receive(),
                let request = try? WorkerRequest(message: message)
            {
                let answers = play(request)
                for answer in answers { try? channel.send(answer.message) }
                if answers.isEmpty { return }
            }
        }
    }

    func fileSystem() -> EngineFileSystem {
        let summary = FileSystemSummary(type: "xfs", blockSize: 4096, totalBytes: 0)
        let root = status(2, .directory, on: 1)
        return EngineFileSystem(
            client,
            WorkerMount(number: 1, summary: summary, root: root, hasAttributes: true)
        )
    }
}

/// Hands the channel over for good, so that it is closed when its thread ends.
private final class Handed: Sendable {
    private let channel: Monitor<Channel?>

    init(_ channel: Channel) { self.channel = Monitor(channel) }

    func take() -> Channel? { channel.update { $0.take() } }
}
