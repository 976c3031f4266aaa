package import Custody
internal import Linux

/// The libvirt of this host.
package struct LibvirtHost: DomainHost {
    private let uri: String

    /// The libvirt at `uri`; nil for the one that LIBVIRT_DEFAULT_URI names, or qemu:///system.
    ///
    /// Throws `usage` where that is of another host.
    package init(uri: String?) throws(DomainControlError) {
        let chosen = uri ?? OwnProcess.variable("LIBVIRT_DEFAULT_URI") ?? LibvirtURI.usual
        try LibvirtURI.check(chosen)
        self.uri = chosen
    }

    /// Connects, and listens to events from then on.
    package func connect() throws(DomainControlError) -> any DomainConnection {
        try LibvirtConnection(uri)
    }
}
