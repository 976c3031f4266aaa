internal import CGuestfs
internal import Checkers
internal import Glibc

extension Appliance: CheckPlace {
    func device(_ disk: Int) -> String {
        "/dev/disk/guestfs/\(labels.indices.contains(disk) ? labels[disk] : "none")"
    }

    /// A process that hangs in its kernel cannot be killed from inside, so the limit ends it all.
    func run(_ script: String, seconds: Int) throws(CheckShellError) -> [UInt8] {
        if checkWatch == nil {
            let watch = HypervisorWatch()
            watch.start(process: unsafe guestfs_get_pid(handle.pointer))
            checkWatch = watch
        }
        checkWatch?.limit(seconds: seconds)
        defer { checkWatch?.limit(seconds: nil) }
        do throws(GuestfsError) { return try handle.shell(script) } catch {
            if checkWatch?.hasEnded == true { throw CheckShellError("it hung and was ended") }
            throw CheckShellError("libguestfs: \(error.message)")
        }
    }
}
