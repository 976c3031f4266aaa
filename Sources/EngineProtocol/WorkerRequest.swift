package import DiskFormats

/// What the front asks of the worker.
///
/// One at a time: the next request follows the last message of the answer. Paths begin with a slash
/// and have neither `.` nor `..` nor links in them; what they name is never followed.
package enum WorkerRequest: Equatable, Sendable {
    /// Starts the appliance; ``WorkerAnswer/progress(_:)`` comes meanwhile.
    case launch(WorkerLaunch)
    /// All volumes, those within volume groups, arrays and unlocked volumes included.
    case volumes
    /// Opens an encrypted volume; volumes within it appear in ``volumes``.
    ///
    /// It is writable as its disk is: into the throw-away layer, where a journal inside is replayed. With `keep` its key is held until a check has ended, which
    /// may need appliances of its own.
    case unlock(disk: String, volume: String, key: [UInt8], keep: Bool)
    /// Mounts a volume read-only.
    case open(disk: String, volume: String, replay: Bool)
    /// The names in a directory, in several messages.
    case entries(mount: UInt32, path: [UInt8])
    /// What lstat says of a file.
    case status(mount: UInt32, path: [UInt8])
    /// Where a symbolic link leads.
    case linkTarget(mount: UInt32, path: [UInt8])
    /// The extended attributes of a file, as the kernel gives them.
    case attributes(mount: UInt32, path: [UInt8])
    /// Bytes of a regular file; all of them or a failure.
    case read(mount: UInt32, path: [UInt8], offset: UInt64, count: UInt32)
    /// Unmounts.
    case close(mount: UInt32)
    /// Checks volumes, and then ends the appliance; the bytes are a request of the module Checkers.
    case check([UInt8])

    /// The most that one ``read(mount:path:offset:count:)`` asks for: libguestfs' own messages are
    /// limited to 4 MiB.
    package static let readBytesMax: UInt32 = 2 << 20
    /// More than any instance has.
    package static let disksMax = 200
    /// Longer than any path that the appliance's kernel takes.
    package static let pathBytesMax = 4_096
}

extension WorkerRequest {
    /// The message to send.
    package var message: [UInt8] {
        var writer = MessageWriter()
        switch self {
        case .launch(let launch):
            writer.add(UInt8(1))
            writer.add(list: launch.disks) { writer, disk in
                writer.add(disk.name)
                writer.add(disk.socket)
                writer.add(disk.byteCount)
            }
            writer.add(launch.directory)
            writer.add(launch.memoryMiB)
            writer.add(launch.mayUseKVM)
        case .volumes:
            writer.add(UInt8(2))
        case .unlock(let disk, let volume, let key, let keep):
            writer.add(UInt8(3))
            writer.add(disk)
            writer.add(volume)
            writer.add(key)
            writer.add(keep)
        case .open(let disk, let volume, let replay):
            writer.add(UInt8(4))
            writer.add(disk)
            writer.add(volume)
            writer.add(replay)
        case .entries(let mount, let path): writer.add(file: 5, mount, path)
        case .status(let mount, let path): writer.add(file: 6, mount, path)
        case .linkTarget(let mount, let path): writer.add(file: 7, mount, path)
        case .attributes(let mount, let path): writer.add(file: 8, mount, path)
        case .read(let mount, let path, let offset, let count):
            writer.add(file: 9, mount, path)
            writer.add(offset)
            writer.add(count)
        case .close(let mount):
            writer.add(UInt8(10))
            writer.add(mount)
        case .check(let request):
            writer.add(UInt8(11))
            writer.add(request)
        }
        return writer.bytes
    }

    /// Reads a message; nothing in it is believed unchecked.
    package init(message: [UInt8]) throws(DiskError) {
        var reader = MessageReader(message)
        switch try reader.u8() {
        case 1: self = .launch(try reader.launch())
        case 2: self = .volumes
        case 3:
            self = .unlock(
                disk: try reader.text(),
                volume: try reader.text(),
                key: try reader.run(),
                keep: try reader.flag()
            )
        case 4:
            self = .open(
                disk: try reader.text(),
                volume: try reader.text(),
                replay: try reader.flag()
            )
        case 5: self = .entries(mount: try reader.u32(), path: try reader.path())
        case 6: self = .status(mount: try reader.u32(), path: try reader.path())
        case 7: self = .linkTarget(mount: try reader.u32(), path: try reader.path())
        case 8: self = .attributes(mount: try reader.u32(), path: try reader.path())
        case 9: self = try reader.read()
        case 10: self = .close(mount: try reader.u32())
        case 11: self = .check(try reader.run())
        default: throw reader.malformed("an unknown request")
        }
        try reader.end()
    }
}

extension MessageWriter {
    fileprivate mutating func add(file code: UInt8, _ mount: UInt32, _ path: [UInt8]) {
        add(code)
        add(mount)
        add(path)
    }
}

extension MessageReader {
    fileprivate mutating func launch() throws(DiskError) -> WorkerLaunch {
        let disks = try list(max: WorkerRequest.disksMax) {
            (reader: inout MessageReader) throws(DiskError) in
            WorkerDisk(
                name: try reader.text(),
                socket: try reader.text(),
                byteCount: try reader.u64()
            )
        }
        return WorkerLaunch(
            disks: disks,
            directory: try text(),
            memoryMiB: try u32(),
            mayUseKVM: try flag()
        )
    }

    fileprivate mutating func read() throws(DiskError) -> WorkerRequest {
        let mount = try u32()
        let path = try path()
        let offset = try u64()
        let count = try u32()
        guard count <= WorkerRequest.readBytesMax, offset <= UInt64(Int64.max) - UInt64(count)
        else { throw malformed("\(count) bytes at \(offset) are too much for one request") }
        return .read(mount: mount, path: path, offset: offset, count: count)
    }

    /// A path as requests have it: absolute, and nothing in it that leads upwards.
    fileprivate mutating func path() throws(DiskError) -> [UInt8] {
        let path = try run()
        guard path.first == UInt8(ascii: "/"), path.count <= WorkerRequest.pathBytesMax,
            !path.contains(0)
        else { throw malformed("not an absolute path") }
        let names = path.split(separator: UInt8(ascii: "/"))
        guard !names.contains(where: { $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8) })
        else { throw malformed("a path that leads upwards") }
        return path
    }
}
