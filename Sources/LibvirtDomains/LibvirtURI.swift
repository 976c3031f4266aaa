internal import Custody

/// Which libvirt a connection may go to: one of this host, whose disks can be read here.
enum LibvirtURI {
    /// The host's own, of system mode: the one that Nova uses.
    static let usual = "qemu:///system"

    /// Throws `usage` for a URI that names another host, or that runs a command to get there.
    ///
    /// Parameters are a list of what is known to be harmless: with `name=` the libvirtd that was
    /// reached connects in its turn to whatever URI that names, another host's too.
    static func check(_ uri: String) throws(DomainControlError) {
        let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let isTest = uri.hasPrefix("test:///")
        let isLocal =
            isTest && parts.count == 1
            || places.contains(String(parts[0])) && areHarmless(parts.dropFirst().first)
        guard isLocal, uri.utf8.count <= 1_000, !uri.utf8.contains(0) else {
            throw DomainControlError(
                .usage,
                "\(harmless(uri)) is no libvirt of this host: qemu:///system and "
                    + "qemu+unix:///system?socket=PATH are"
            )
        }
    }

    /// Not `embed`, which is no libvirtd at all but a QEMU driver within this process.
    private static let places = ["system", "session"].flatMap {
        ["qemu:///\($0)", "qemu+unix:///\($0)"]
    }

    /// Where the socket is, and which kind of daemon listens there.
    private static func areHarmless(_ parameters: Substring?) -> Bool {
        // libvirt takes a semicolon for an ampersand, and decodes what is percent-encoded in names.
        guard let parameters else { return true }
        return parameters.split(separator: "&", omittingEmptySubsequences: false).allSatisfy {
            ($0.hasPrefix("socket=") || $0.hasPrefix("mode=")) && !$0.contains { ";#".contains($0) }
        }
    }
}
