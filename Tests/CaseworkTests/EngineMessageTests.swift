import DiskFormats
import EngineProtocol
import Testing

@Suite struct EngineMessageTests {
    private static let status: WorkerStatus = {
        var inode = Inode(number: 1 << 40, type: .characterDevice, permissions: 0o4755)
        inode.userID = .max
        inode.size = UInt64(Int64.max)
        inode.modified = Timestamp(seconds: -1, nanoseconds: 999_999_999)
        inode.device = Inode.Device(major: 259, minor: 70_000)
        return WorkerStatus(device: 7, inode: inode)
    }()

    private static let requests: [WorkerRequest] = [
        .launch(
            WorkerLaunch(
                disks: [WorkerDisk(name: "disk", socket: "/tmp/x", byteCount: 1 << 60)],
                directory: "/tmp",
                memoryMiB: 700,
                mayUseKVM: false
            )
        ),
        .volumes, .unlock(disk: "disk", volume: "p2", key: [0xFF, 10], keep: true),
        .open(disk: "disk", volume: "", replay: false),
        .entries(mount: 1, path: [0x2F, 0xFF, 0x0A]), .status(mount: 2, path: Array("/a/...".utf8)),
        .linkTarget(mount: 3, path: [0x2F]), .attributes(mount: 4, path: [0x2F]),
        .read(mount: 5, path: [0x2F], offset: 1 << 60, count: 1), .close(mount: .max),
    ]

    private static let answers: [WorkerAnswer] = [
        .failure(WorkerFailure(.wrongKey, "no")), .progress("…"), .launched(usesKVM: true),
        .volumes([
            WorkerVolume(
                disk: "disk",
                name: "vg/root",
                type: "xfs",
                label: [0xFF],
                parts: ["disk:p2", "disk:md127"]
            )
        ]),
        .opened(
            WorkerMount(
                number: 1,
                summary: FileSystemSummary(
                    type: "xfs",
                    blockSize: 4096,
                    totalBytes: 1,
                    journal: .replayedByKernel
                ),
                root: status,
                hasAttributes: true
            )
        ),
        .entries(
            [WorkerEntry(name: [0x0A], status: status), WorkerEntry(name: [1], status: nil)],
            isLast: false
        ),
        .status(status), .bytes([]), .bytes([0]),
        .attributes([ExtendedAttribute(name: [1], value: [])]), .done,
    ]

    @Test(arguments: requests) func `a request is read as it was written`(
        _ request: WorkerRequest
    ) throws {
        #expect(try WorkerRequest(message: request.message) == request)
    }

    @Test(arguments: answers) func `an answer is read as it was written`(
        _ answer: WorkerAnswer
    ) throws {
        #expect(try WorkerAnswer(message: answer.message) == answer)
    }

    @Test func `every truncation throws, and so does a byte too many`() {
        for message in Self.requests.map(\.message) {
            for count in 0..<message.count {
                #expect(throws: DiskError.self) {
                    try WorkerRequest(message: Array(message[..<count]))
                }
            }
            #expect(throws: DiskError.self) { try WorkerRequest(message: message + [0]) }
        }
        for message in Self.answers.map(\.message) {
            for count in 0..<message.count {
                #expect(throws: DiskError.self) {
                    try WorkerAnswer(message: Array(message[..<count]))
                }
            }
            #expect(throws: DiskError.self) { try WorkerAnswer(message: message + [0]) }
        }
    }

    @Test(arguments: ["", ".", "..", "a/b", "a\0b"])
    func `a name that leads elsewhere is refused`(_ name: String) {
        let entry = WorkerEntry(name: Array(name.utf8), status: Self.status)
        let message = WorkerAnswer.entries([entry], isLast: true).message
        #expect(throws: DiskError.self) { try WorkerAnswer(message: message) }
    }

    @Test(arguments: ["", "a", "/..", "/a/../b", "/.", "/a\0"])
    func `a path that leads upwards is refused`(_ path: String) {
        let message = WorkerRequest.status(mount: 1, path: Array(path.utf8)).message
        #expect(throws: DiskError.self) { try WorkerRequest(message: message) }
    }

    @Test func `more than one message carries is refused`() {
        let message = WorkerRequest.read(mount: 1, path: [0x2F], offset: 0, count: 3 << 20).message
        #expect(throws: DiskError.self) { try WorkerRequest(message: message) }
    }
}
