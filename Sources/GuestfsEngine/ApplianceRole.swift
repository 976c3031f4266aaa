internal import Glibc
internal import Linux

/// What stands between libguestfs and QEMU: this program, under another name.
///
/// libguestfs runs one file with the arguments of QEMU. So a link to this program, named
/// ``programName``, is put into the private directory; started by that name it ties itself to its
/// parent, bounds itself, and becomes QEMU.
package enum ApplianceRole {
    /// The name by which this program knows that it is to become QEMU.
    static let programName = "glovebox-appliance"

    /// The first line of the appliance's console: from there on, silence is a bad sign.
    static let firstLine = "glovebox: QEMU starts"

    private static let hypervisorKey = "GLOVEBOX_HYPERVISOR"
    private static let directoryKey = "GLOVEBOX_APPLIANCE_DIRECTORY"

    /// What a throw-away layer may grow to: no journal is as large, and a disk that makes the
    /// appliance write without end must not fill the host.
    private static let fileBytesMax: UInt64 = 16 << 30

    /// Makes the link; nil where the private directory does not let us.
    static func wrapper(of hypervisor: String, in directory: String) -> String? {
        guard let program = try? OwnProcess.program() else { return nil }
        let link = "\(directory)/\(programName)"
        guard unsafe symlink(program, link) == 0 || errno == EEXIST else { return nil }
        unsafe setenv(hypervisorKey, hypervisor, 1)
        unsafe setenv(directoryKey, directory, 1)
        return link
    }

    /// Whether this process was started by that name.
    package static var isWanted: Bool {
        CommandLine.arguments.first?.split(separator: "/").last.map { $0 == programName } ?? false
    }

    /// Becomes QEMU with `arguments`; returns only where that fails, with an exit code.
    package static func run(_ arguments: [[UInt8]]) -> CInt {
        guard let hypervisor = value(of: hypervisorKey), let directory = value(of: directoryKey)
        else {
            HypervisorProcess.complain("\(programName): nothing says which program QEMU is")
            return 126
        }
        do throws(SystemError) {
            try OwnProcess.dieWith(parent: OwnProcess.parentID)
            try OwnProcess.renouncePrivileges()
            try OwnProcess.set(.fileSize(fileBytesMax))
            // Memory holds the guest's data.
            try OwnProcess.set(.coreSize(0))
        } catch {
            HypervisorProcess.complain("\(programName): \(error)")
            return 126
        }
        if let sockets = socketDirectory(in: arguments) {
            // One of an earlier attempt may stand there.
            unsafe unlink("\(directory)/\(socketLink)")
            unsafe symlink(sockets, "\(directory)/\(socketLink)")
            HypervisorProcess.complain(firstLine)
        }
        HypervisorProcess.complain(
            "\(programName): \(HypervisorProcess.become(hypervisor, arguments))"
        )
        return 127
    }

    private static func value(of key: String) -> String? {
        unsafe getenv(key).map { unsafe String(cString: $0) }
    }
}

// As root, libguestfs makes its sockets in /tmp, whatever it is told. They are needed until the
// appliance has connected; should we be killed before that, the link tells who clears up after us.
extension ApplianceRole {
    /// The link in the private directory that leads to the directory of libguestfs' sockets.
    package static let socketLink = "libguestfs-sockets"

    private static let socketName = "/guestfsd.sock"

    private static func socketDirectory(in arguments: [[UInt8]]) -> String? {
        for argument in arguments {
            let text = String(decoding: argument, as: UTF8.self)
            guard let end = text.firstRange(of: socketName),
                let start = text[..<end.lowerBound].firstRange(of: "path=")
            else { continue }
            let path = String(text[start.upperBound..<end.lowerBound])
            if path.hasPrefix("/"), !path.contains(",") { return path }
        }
        return nil
    }

    /// Removes libguestfs' sockets once nobody needs them any more.
    static func removeSockets(in directory: String) {
        let link = "\(directory)/\(socketLink)"
        guard let path = try? FileDescriptor.linkTarget(link) else { return }
        for name in ["guestfsd.sock", "console.sock"] { unsafe unlink("\(path)/\(name)") }
        if unsafe rmdir(path) == 0 { unsafe unlink(link) }
    }
}
