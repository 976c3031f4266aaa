internal import CGuestfs
package import Checkers
internal import Glibc
internal import Linux

/// A disk for the appliance to check: an NBD export, or for tests a raw file.
package enum CheckDisk: Sendable {
    /// A socket on which a read-only export is served.
    case export(socket: String)
    /// A raw image, read-only.
    case file(path: String)
}

/// One launch of libguestfs's appliance for checks: disks, and a shell inside.
///
/// libguestfs puts a layer over each disk that takes what is written and is gone afterwards.
@safe package final class CheckAppliance: CheckPlace {
    private let handle: OpaquePointer
    private let watch = HypervisorWatch()

    /// Launches the appliance on `disks`.
    ///
    /// The kernel names SCSI disks in the order in which it happens to find them, so each has a
    /// label, and is only ever spoken of as `/dev/disk/guestfs/LABEL`.
    package init(_ disks: [CheckDisk]) throws(CheckShellError) {
        guard let handle = unsafe guestfs_create() else {
            throw CheckShellError("libguestfs has no handle to give")
        }
        unsafe self.handle = handle
        unsafe guestfs_set_error_handler(handle, nil, nil)
        unsafe guestfs_set_recovery_proc(handle, 0)
        for (index, disk) in disks.enumerated() { try add(disk, label: Self.label(index)) }
        try call("launch", unsafe guestfs_launch(handle))
        watch.start(process: unsafe guestfs_get_pid(handle))
    }

    deinit {
        watch.stop()
        unsafe guestfs_close(handle)
    }

    package func device(_ disk: Int) -> String { "/dev/disk/guestfs/\(Self.label(disk))" }

    /// libguestfs takes letters only.
    private static func label(_ index: Int) -> String {
        let letters = Array("abcdefghijklmnopqrstuvwxyz")
        return "gb\(letters[index / 676 % 26])\(letters[index / 26 % 26])\(letters[index % 26])"
    }

    /// A process that hangs in its kernel cannot be killed from inside, so the limit ends it all.
    package func run(_ script: String, seconds: Int) throws(CheckShellError) -> [UInt8] {
        watch.limit(seconds: seconds)
        defer { watch.limit(seconds: nil) }
        let text = unsafe withArguments([script]) { unsafe guestfs_debug(handle, "sh", $0) }
        guard let text = unsafe text else {
            if watch.hasEnded { throw CheckShellError("it hung and was ended") }
            throw failure("debug sh")
        }
        defer { unsafe free(text) }
        return unsafe Array(UnsafeBufferPointer(start: text, count: strlen(text))).map {
            UInt8(bitPattern: $0)
        }
    }

    private func add(_ disk: CheckDisk, label: String) throws(CheckShellError) {
        let added: CInt
        switch disk {
        case .file(let path):
            added = unsafe label.withCString { label in
                unsafe "raw".withCString { format in
                    var options = unsafe guestfs_add_drive_opts_argv()
                    unsafe options.bitmask = Option.readOnly | Option.format | Option.label
                    unsafe options.readonly = 1
                    unsafe options.format = format
                    unsafe options.label = label
                    return unsafe guestfs_add_drive_opts_argv(handle, path, &options)
                }
            }
        case .export(let socket):
            added = unsafe label.withCString { label in
                unsafe "raw".withCString { format in
                    unsafe "nbd".withCString { nbd in
                        unsafe withArguments(["unix:\(socket)"]) { server in
                            var options = unsafe guestfs_add_drive_opts_argv()
                            unsafe options.bitmask =
                                Option.readOnly | Option.format | Option.label | Option.protocol
                                | Option.server
                            unsafe options.readonly = 1
                            unsafe options.format = format
                            unsafe options.label = label
                            unsafe options.protocol = nbd
                            unsafe options.server = UnsafePointer(server)
                            return unsafe guestfs_add_drive_opts_argv(handle, "", &options)
                        }
                    }
                }
            }
        }
        try call("add_drive", added)
    }

    /// GUESTFS_ADD_DRIVE_OPTS_…_BITMASK, which Swift does not import.
    private enum Option {
        static let readOnly: UInt64 = 1 << 0
        static let format: UInt64 = 1 << 1
        static let label: UInt64 = 1 << 4
        static let `protocol`: UInt64 = 1 << 5
        static let server: UInt64 = 1 << 6
    }

    private func call(_ name: String, _ result: CInt) throws(CheckShellError) {
        guard result == 0 else { throw failure(name) }
    }

    private func failure(_ name: String) -> CheckShellError {
        let said = unsafe guestfs_last_error(handle).map { unsafe String(cString: $0) }
        return CheckShellError("libguestfs: \(name): \(said ?? "no reason given")")
    }
}

/// Calls `body` with a null-terminated list of C strings.
private func withArguments<Result>(
    _ strings: [String],
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var list: [UnsafeMutablePointer<CChar>?] = unsafe strings.map { unsafe strdup($0) } + [nil]
    defer { unsafe list.forEach { unsafe free($0) } }
    return unsafe list.withUnsafeMutableBufferPointer { buffer in
        guard let start = buffer.baseAddress else { fatalError("a list that is not empty") }
        return unsafe body(start)
    }
}
