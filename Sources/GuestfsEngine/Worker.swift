internal import DiskFormats
internal import EngineProtocol
internal import Glibc
internal import Linux

/// Answers requests; for one thread, which must live as long as the process: QEMU dies with it.
final class Worker {
    private let channel: Channel
    private var appliance: Appliance?
    private var volumes: VolumeMap?
    private var mounts: [UInt32: String] = [:]
    private var lastMount: UInt32 = 0
    /// The file that is known to be a regular one: opening another kind could wait for ever.
    private var regular: (mount: UInt32, path: [UInt8])?

    init(_ channel: Channel) { self.channel = channel }

    /// Answers one message; throws where the answer cannot be sent.
    func answer(_ message: [UInt8]) throws(SystemError) {
        do throws(WorkerFailure) {
            try handle(try request(in: message))
        } catch {
            guard error.kind != .channel else {
                throw SystemError(call: "send", path: "channel", errno: EPIPE)
            }
            try channel.send(WorkerAnswer.failure(error).message)
        }
    }

    private func request(in message: [UInt8]) throws(WorkerFailure) -> WorkerRequest {
        do throws(DiskError) { return try WorkerRequest(message: message) } catch {
            throw WorkerFailure(.request, error.detail)
        }
    }

    private func handle(_ request: WorkerRequest) throws(WorkerFailure) {
        switch request {
        case .launch(let launch): try start(launch)
        case .volumes: try send(.volumes(try volumeMap().inner))
        case .unlock(let disk, let volume, let key): try unlock(disk, volume, key)
        case .open(let disk, let volume, let replay):
            try send(.opened(try open(disk, volume, replay: replay)))
        case .entries(let mount, let path): try sendEntries(mount, path)
        case .status(let mount, let path):
            let place = try place(mount, path)
            try send(.status(try asking { h throws(GuestfsError) in try h.status(place) }))
        case .linkTarget(let mount, let path):
            let place = try place(mount, path)
            try send(.bytes(try asking { h throws(GuestfsError) in try h.linkTarget(place) }))
        case .attributes(let mount, let path):
            let place = try place(mount, path)
            let found = try asking { h throws(GuestfsError) in try h.attributes(place) }
            try send(.attributes(found ?? []))
        case .read(let mount, let path, let offset, let count):
            try read(mount, path, offset, Int(count))
        case .close(let mount):
            let point = [UInt8](try point(mount).utf8)
            try asking { h throws(GuestfsError) in
                try h.unmount(String(decoding: point, as: UTF8.self))
            }
            mounts[mount] = nil
            try send(.done)
        }
    }
}

extension Worker {
    private func send(_ answer: WorkerAnswer) throws(WorkerFailure) {
        do throws(SystemError) { try channel.send(answer.message) } catch {
            throw WorkerFailure(.channel, "\(error)")
        }
    }

    private func running() throws(WorkerFailure) -> Appliance {
        guard let appliance else { throw WorkerFailure(.request, "there is no appliance yet") }
        return appliance
    }

    /// Calls `body` with the handle, and says of its errors what kind they are.
    private func asking<Result>(
        _ body: (borrowing GuestfsHandle) throws(GuestfsError) -> Result
    ) throws(WorkerFailure) -> Result {
        let appliance = try running()
        do throws(GuestfsError) { return try body(appliance.handle) } catch {
            guard appliance.handle.isReady else {
                throw WorkerFailure(.appliance, "the appliance is gone: \(error.message)")
            }
            throw WorkerFailure(error.errno == ENOENT ? .noEntry : .disk, error.message)
        }
    }

    private func start(_ launch: WorkerLaunch) throws(WorkerFailure) {
        guard appliance == nil else { throw WorkerFailure(.request, "the appliance runs already") }
        guard !launch.disks.isEmpty, launch.directory.hasPrefix("/") else {
            throw WorkerFailure(.request, "a launch without disks or directory")
        }
        unsafe setenv("XDG_RUNTIME_DIR", launch.directory, 1)
        let channel = channel
        let started = try Appliance.start(launch) { text in
            try? channel.send(WorkerAnswer.progress(text).message)
        }
        appliance = started
        volumes = try VolumeMap(started)
        try send(.launched(usesKVM: started.usesKVM))
    }

    private func volumeMap() throws(WorkerFailure) -> VolumeMap {
        guard let volumes else { throw WorkerFailure(.request, "there is no appliance yet") }
        return volumes
    }

    private func unlock(_ disk: String, _ name: String, _ key: [UInt8]) throws(WorkerFailure) {
        guard !key.isEmpty, !key.contains(0) else {
            throw WorkerFailure(.wrongKey, "a passphrase is not empty, and has no zero byte")
        }
        var map = try volumeMap()
        try map.unlock(disk, name, key, with: try running())
        volumes = map
        try send(.done)
    }

    private func open(
        _ disk: String,
        _ name: String,
        replay: Bool
    ) throws(WorkerFailure) -> WorkerMount {
        let device = try volumeMap().device(of: name, on: disk)
        let appliance = try running()
        lastMount += 1
        let number = lastMount
        let point = "/mount\(number)"
        let mounted = try Mounting(device: device, point: point, replay: replay).run(appliance)
        mounts[number] = point
        return WorkerMount(
            number: number,
            summary: mounted.summary,
            root: mounted.root,
            hasAttributes: mounted.hasAttributes
        )
    }

    private func point(_ mount: UInt32) throws(WorkerFailure) -> String {
        guard let point = mounts[mount] else { throw WorkerFailure(.request, "not mounted") }
        return point
    }

    private func place(_ mount: UInt32, _ path: [UInt8]) throws(WorkerFailure) -> [UInt8] {
        let point = [UInt8](try point(mount).utf8)
        return path == [UInt8(ascii: "/")] ? point : point + path
    }

    private func sendEntries(_ mount: UInt32, _ path: [UInt8]) throws(WorkerFailure) {
        let place = try place(mount, path)
        let names = try asking { h throws(GuestfsError) in try h.entryNames(place) }
        var sent = 0
        repeat {
            let part = Array(names[sent..<min(sent + WorkerAnswer.entriesMax, names.count)])
            var statuses: [WorkerStatus?] = []
            if !part.isEmpty {
                statuses = try asking { h throws(GuestfsError) in try h.statuses(part, in: place) }
            }
            sent += part.count
            let entries = zip(part, statuses).map { WorkerEntry(name: $0, status: $1) }
            try send(.entries(entries, isLast: sent == names.count))
        } while sent < names.count
    }

    private func read(
        _ mount: UInt32,
        _ path: [UInt8],
        _ offset: UInt64,
        _ count: Int
    ) throws(WorkerFailure) {
        let place = try place(mount, path)
        if regular?.mount != mount || regular?.path != path {
            let status = try asking { h throws(GuestfsError) in try h.status(place) }
            guard status.inode.type == .regular else {
                throw WorkerFailure(.request, "only regular files have bytes to read")
            }
            regular = (mount, path)
        }
        try send(
            .bytes(
                try asking { h throws(GuestfsError) in
                    try h.read(place, at: offset, count: count)
                }
            )
        )
    }
}
