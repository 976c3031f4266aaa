internal import Custody

/// Which libvirt a connection may go to: one of this host, whose disks can be read here.
enum LibvirtURI {
    /// The host's own, of system mode: the one that Nova uses.
    static let usual = "qemu:///system"

    /// Throws `usage` for a URI that names another host, or that runs a command to get there.
    static func check(_ uri: String) throws(DomainControlError) {
        let parts = uri.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let scheme = parts[0].split(separator: "+", omittingEmptySubsequences: false)
        let isLocal = scheme.count == 1 || scheme.count == 2 && scheme[1] == "unix"
        guard parts.count == 2, ["qemu", "test"].contains(scheme[0]), isLocal,
            parts[1].hasPrefix("///"), uri.utf8.count <= 1_000
        else {
            throw DomainControlError(
                .usage,
                "\(uri) is no libvirt of this host: qemu:///system and "
                    + "qemu+unix:///system?socket=PATH are"
            )
        }
    }
}
