package import Custody
internal import Linux

/// The libvirt of this host.
package struct LibvirtHost: DomainHost {
    private let opener: LibvirtOpener

    /// The libvirt at `uri`; nil for the one that LIBVIRT_DEFAULT_URI names, or qemu:///system.
    ///
    /// Throws `usage` where that is of another host.
    package init(uri: String?) throws(DomainControlError) {
        let chosen = uri ?? OwnProcess.variable("LIBVIRT_DEFAULT_URI") ?? LibvirtURI.usual
        try LibvirtURI.check(chosen)
        opener = LibvirtOpener(chosen)
    }

    /// Connects, and listens to events from then on.
    ///
    /// Throws `connectionLost` where libvirt does not answer in time, too.
    package func connect() throws(DomainControlError) -> any DomainConnection {
        try opener.connect()
    }
}
