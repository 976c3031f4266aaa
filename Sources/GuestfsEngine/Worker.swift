internal import Checkers
internal import DiskFormats
internal import EngineProtocol
internal import Glibc
internal import Linux

/// Answers requests; for one thread, which must live as long as the process: QEMU dies with it.
final class Worker {
    private let channel: Channel
    private var appliance: Appliance?
    private var launch: WorkerLaunch?
    private var volumes: VolumeMap?
    private var keys = KeyRing()
    private var mounts: [UInt32: String] = [:]
    private var lastMount: UInt32 = 0
    /// The file that is known to be a regular one: opening another kind could wait for ever.
    private var regular: [UInt8]?
    private var known = KnownDirectories()

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
        case .volumes: try send(.volumes(try innerVolumes()))
        case .unlock(let disk, let volume, let key, let keep):
            try unlock(disk, volume, key)
            if keep { keys.keep(key, of: volume, on: disk) }
            try send(.done)
        case .open(let disk, let volume, let replay):
            try send(.opened(try open(disk, volume, replay: replay)))
        case .entries(let mount, let path): try sendEntries(mount, path)
        case .status(let mount, let path):
            let place = try place(mount, path)
            let status = try asking { h throws(GuestfsError) in try h.status(place) }
            if status.inode.type == .regular { regular = place }
            try send(.status(status))
        case .linkTarget(let mount, let path):
            let place = try place(mount, path)
            try send(.bytes(try asking { h throws(GuestfsError) in try h.linkTarget(place) }))
        case .attributes(let mount, let path):
            try send(.attributes(try attributes(try place(mount, path))))
        case .read(let mount, let path, let offset, let count):
            try read(mount, path, offset, Int(count))
        case .close(let mount):
            let point = [UInt8](try point(mount).utf8)
            try asking { h throws(GuestfsError) in
                try h.unmount(String(decoding: point, as: UTF8.self))
            }
            mounts[mount] = nil
            try send(.done)
        case .check(let request): try check(request)
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
        let started = try Appliance.start(launch, progress: progress)
        appliance = started
        self.launch = launch
        volumes = try VolumeMap(started)
        try send(.launched(usesKVM: started.usesKVM))
    }

    /// Checks on the appliance as it was launched, since nothing may be mounted, and ends it.
    private func check(_ bytes: [UInt8]) throws(WorkerFailure) {
        var reader = MessageReader(bytes)
        let request: CheckRequest
        do throws(DiskError) {
            request = try CheckRequest(from: &reader)
            try reader.end()
        } catch {
            throw WorkerFailure(.request, error.detail)
        }
        guard var launch, let usesKVM = appliance?.usesKVM, mounts.isEmpty else {
            throw WorkerFailure(.request, "checks need an appliance in which nothing is mounted")
        }
        // What did not work for the first appliance is not tried for the next ones.
        launch.mayUseKVM = usesKVM
        var fresh = appliance
        fresh?.volumes = volumes
        let keys = keys
        (appliance, volumes, self.keys) = (nil, nil, KeyRing())
        let progress = progress
        let runner = CheckRunner(progress: progress) { () throws(CheckShellError) in
            if let ready = fresh.take() { return ready }
            do throws(WorkerFailure) {
                let started = try Appliance.start(launch, progress: progress)
                started.keys = keys
                return started
            } catch {
                throw CheckShellError(error.message)
            }
        }
        let reports: [CheckReport]
        do throws(CheckShellError) {
            reports = try runner.check(request.volumes, rehearse: request.rehearse)
        } catch {
            throw WorkerFailure(.appliance, error.reason)
        }
        for report in reports {
            var writer = MessageWriter()
            report.write(to: &writer)
            try send(.report(writer.bytes))
        }
        try send(.done)
    }

    /// Tells the front how far something is; where that fails, the next answer fails as well.
    private var progress: @Sendable (String) -> Void {
        { [channel] text in try? channel.send(WorkerAnswer.progress(text).message) }
    }

    private func innerVolumes() throws(WorkerFailure) -> [WorkerVolume] {
        let appliance = try running()
        var map = try volumeMap()
        defer { volumes = map }
        return try map.innerVolumes(appliance)
    }

    private func device(of name: String, on disk: String) throws(WorkerFailure) -> String {
        let appliance = try running()
        var map = try volumeMap()
        defer { volumes = map }
        return try map.device(of: name, on: disk, appliance)
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
    }

    private func open(
        _ disk: String,
        _ name: String,
        replay: Bool
    ) throws(WorkerFailure) -> WorkerMount {
        let device = try device(of: name, on: disk)
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
            known.add(part, statuses, in: place)
            sent += part.count
            let entries = zip(part, statuses).map { WorkerEntry(name: $0, status: $1) }
            try send(.entries(entries, isLast: sent == names.count))
        } while sent < names.count
    }

    private func attributes(_ place: [UInt8]) throws(WorkerFailure) -> [ExtendedAttribute] {
        let appliance = try running()
        let found = known.attributes(of: place) { names, directory throws(GuestfsError) in
            try appliance.handle.attributes(names, in: directory)
        }
        if let found { return found }
        return try asking { h throws(GuestfsError) in try h.attributes(place) } ?? []
    }

    private func read(
        _ mount: UInt32,
        _ path: [UInt8],
        _ offset: UInt64,
        _ count: Int
    ) throws(WorkerFailure) {
        let place = try place(mount, path)
        if regular != place, !known.isRegular(place) {
            let status = try asking { h throws(GuestfsError) in try h.status(place) }
            guard status.inode.type == .regular else {
                throw WorkerFailure(.request, "only regular files have bytes to read")
            }
            regular = place
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
