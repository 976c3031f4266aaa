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

    /// What a throw-away layer may grow to: no journal is as large, and a disk that makes the
    /// appliance write without end must not fill the host.
    private static let fileBytesMax: UInt64 = 16 << 30

    /// Makes the link; nil where the private directory does not let us.
    static func wrapper(of hypervisor: String, in directory: String) -> String? {
        guard let program = try? OwnProcess.program() else { return nil }
        let link = "\(directory)/\(programName)"
        guard unsafe symlink(program, link) == 0 || errno == EEXIST else { return nil }
        unsafe setenv(hypervisorKey, hypervisor, 1)
        return link
    }

    /// Whether this process was started by that name.
    package static var isWanted: Bool {
        CommandLine.arguments.first?.split(separator: "/").last.map { $0 == programName } ?? false
    }

    /// Becomes QEMU with `arguments`; returns only where that fails, with an exit code.
    package static func run(_ arguments: [[UInt8]]) -> CInt {
        guard let hypervisor = OwnProcess.variable(hypervisorKey) else {
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
        if isLaunch(arguments) { HypervisorProcess.complain(firstLine) }
        HypervisorProcess.complain(
            "\(programName): \(HypervisorProcess.become(hypervisor, arguments))"
        )
        return 127
    }

    /// Whether this is the appliance itself, and not a question about what QEMU can do.
    private static func isLaunch(_ arguments: [[UInt8]]) -> Bool {
        arguments.contains { String(decoding: $0, as: UTF8.self).contains("/guestfsd.sock") }
    }
}
