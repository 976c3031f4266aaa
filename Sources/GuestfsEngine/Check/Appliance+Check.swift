internal import CGuestfs
internal import Checkers
internal import EngineProtocol
internal import Glibc

extension Appliance: CheckPlace {
    func device(_ disk: Int) -> String {
        "/dev/disk/guestfs/\(labels.indices.contains(disk) ? labels[disk] : "none")"
    }

    /// The volumes of an appliance that was started for checks are opened when one is first needed.
    func device(ofInner name: String, on disk: Int) throws(CheckShellError) -> String {
        guard disks.indices.contains(disk) else { throw CheckShellError("there is no such disk") }
        if volumes == nil { volumes = try openVolumes() }
        guard var map = volumes else { return "" }
        limit(seconds: Self.openingSeconds)
        defer {
            checkWatch?.limit(seconds: nil)
            volumes = map
        }
        do throws(WorkerFailure) {
            return try map.device(of: name, on: disks[disk].name, self)
        } catch {
            throw CheckShellError(error.message)
        }
    }

    /// How long volume groups, arrays and keys may take.
    private static let openingSeconds = 300

    private func openVolumes() throws(CheckShellError) -> VolumeMap {
        limit(seconds: Self.openingSeconds)
        defer { checkWatch?.limit(seconds: nil) }
        do throws(WorkerFailure) {
            var map = try VolumeMap(self)
            for one in keys?.opened ?? [] {
                try open(one, in: &map)
            }
            return map
        } catch {
            throw CheckShellError("the volumes could not be opened again: \(error.message)")
        }
    }

    /// One that does not open this time is missing from the map, and does not hide the others.
    private func open(_ one: KeyRing.Opened, in map: inout VolumeMap) throws(WorkerFailure) {
        do throws(WorkerFailure) {
            try map.unlock(one.disk, one.volume, one.key, with: self)
        } catch {
            guard handle.isReady else { throw error }
        }
    }

    /// A process that hangs in its kernel cannot be killed from inside, so the limit ends it all.
    func run(_ script: String, seconds: Int) throws(CheckShellError) -> [UInt8] {
        limit(seconds: seconds)
        defer { checkWatch?.limit(seconds: nil) }
        do throws(GuestfsError) { return try handle.shell(script) } catch {
            if checkWatch?.hasEnded == true { throw CheckShellError("it hung and was ended") }
            throw CheckShellError("libguestfs: \(error.message)")
        }
    }

    private func limit(seconds: Int) {
        if checkWatch == nil {
            let watch = HypervisorWatch()
            watch.start(process: unsafe guestfs_get_pid(handle.pointer))
            checkWatch = watch
        }
        checkWatch?.limit(seconds: seconds)
    }
}
