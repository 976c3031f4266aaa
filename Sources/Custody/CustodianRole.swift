internal import EngineProtocol
internal import Linux

/// `glovebox-engine custodian`: holds a domain for the program that started it.
package enum CustodianRole {
    private static let sendSeconds = 5
    private static let readers = ["/usr/bin/qemu-nbd"]

    /// Works until the front has gone and nothing is held any more.
    ///
    /// `makeHost` gives the libvirt of a URI; nil for the default.
    package static func run(
        probe: (any CustodyProbe)? = nil,
        makeHost: @escaping @Sendable (String?) throws(DomainControlError) -> any DomainHost
    ) {
        OwnProcess.ignoreTerminationSignals()
        let parent = OwnProcess.parentID
        let front =
            ProcessIdentity(of: parent) ?? ProcessIdentity(processID: parent, startTicks: 0)
        let control = FileDescriptor.inherited(EngineDescriptor.control, "the front's channel")
        // A front that does not read must not keep us from resuming.
        try? control.limitSending(seconds: sendSeconds)
        var programs = ownPrograms + readers
        // Whatever embeds the library is known by the file that it was started from.
        if let program = try? FileDescriptor.linkTarget("/proc/\(parent)/exe") {
            programs.append(program)
        }
        let surroundings = CustodySurroundings(
            front: front,
            programs: programs,
            probe: probe,
            makeHost: makeHost
        )
        Custodian(Channel(control), surroundings).work()
    }

    /// The programs of this installation: PREFIX/libexec/glovebox/glovebox-engine and
    /// PREFIX/bin/glovebox, or both in one directory.
    private static var ownPrograms: [String] {
        guard let own = try? OwnProcess.program() else { return [] }
        let directory = own.split(separator: "/").dropLast()
        let beside = "/" + directory.joined(separator: "/")
        let installed = "/" + directory.dropLast(2).joined(separator: "/") + "/bin"
        return [own, "\(beside)/glovebox", "\(beside)/glovebox-engine", "\(installed)/glovebox"]
    }
}
