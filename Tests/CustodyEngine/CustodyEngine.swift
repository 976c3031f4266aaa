import Custody
import LibvirtDomains
import Linux

/// A `glovebox-engine` for tests, which stops where it is told to: so a test kills it at any point.
///
/// With the role `custodian` it keeps custody itself. With GLOVEBOX_PROBE=DIR it writes the name of
/// each point to DIR/reached, a line each, and at the one that DIR/stop names it waits until DIR/go
/// exists. Any other role is that of the program that GLOVEBOX_REAL_ENGINE names.
@main
struct CustodyEngine {
    static func main() {
        let arguments = Program.arguments.map { String(decoding: $0, as: UTF8.self) }
        guard arguments.first == "custodian" else { become(arguments) }
        let probe = OwnProcess.variable("GLOVEBOX_PROBE").map { StoppingProbe(directory: $0) }
        CustodianRole.run(probe: probe, makeHost: host)
    }

    /// The libvirt of a URI.
    private static let host: @Sendable (String?) throws(DomainControlError) -> any DomainHost = {
        uri throws(DomainControlError) in
        try LibvirtHost(uri: uri)
    }

    private static func become(_ arguments: [String]) -> Never {
        guard let engine = OwnProcess.variable("GLOVEBOX_REAL_ENGINE") else {
            complain("GLOVEBOX_REAL_ENGINE is not set")
        }
        let environment =
            (try? FileDescriptor.open("/proc/self/environ", 0))
            .flatMap { try? $0.readAll(limit: 1 << 20) } ?? []
        let variables = environment.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        do throws(SystemError) {
            try OwnProcess.become(engine, arguments: arguments, environment: variables)
        } catch {
            complain("\(error)")
        }
    }

    private static func complain(_ sentence: String) -> Never {
        try? StandardStream.error.write([UInt8]("custody-engine: \(sentence)\n".utf8))
        Program.exit(70)
    }
}

/// Notes each point, and waits at one of them.
private struct StoppingProbe: CustodyProbe {
    let directory: String

    func reached(_ point: CustodyPoint) {
        var notes = (try? content("reached")) ?? []
        notes += Array("\(point)\n".utf8)
        try? write(notes)
        let stop = ((try? content("stop")) ?? []).filter { $0 > 0x20 }
        guard stop == Array("\(point)".utf8) else { return }
        while (try? content("go")) == nil { pauseThread(seconds: 0.005) }
    }

    private func content(_ name: String) throws(SystemError) -> [UInt8] {
        try fileContent("\(directory)/\(name)", limit: 1 << 20)
    }

    private func write(_ bytes: [UInt8]) throws(SystemError) {
        let place = try FileDescriptor.openDirectory(directory)
        let pending = try place.createFile("reached.\(OwnProcess.processID)")
        try pending.write(bytes, at: 0)
        try place.rename("reached.\(OwnProcess.processID)", over: "reached")
    }
}
