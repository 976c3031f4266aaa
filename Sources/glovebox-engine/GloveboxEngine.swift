internal import Custody
internal import GuestfsEngine
internal import LibvirtDomains
internal import Linux

/// The program beside `glovebox` that holds what must not be part of it: foreign libraries, and
/// processes that have to be cleaned up after.
///
/// It is started by `glovebox`, in one of its roles, and is of no use by itself. Under the name
/// `glovebox-appliance` it becomes the QEMU that libguestfs asked for.
@main
struct GloveboxEngine {
    static func main() {
        if ApplianceRole.isWanted { Program.exit(ApplianceRole.run(Program.arguments)) }
        let arguments = Program.arguments.map { String(decoding: $0, as: UTF8.self) }
        do throws(EngineFailure) {
            switch arguments.first {
            case "custodian": CustodianRole.run(makeHost: libvirt)
            case "guardian": try GuardianRole.run()
            case "export": try ExportRole.run(Array(arguments.dropFirst()))
            case "worker": Program.exit(try WorkerEntry.run(Array(arguments.dropFirst())))
            default:
                throw EngineFailure("glovebox-engine is started by glovebox, not by hand.", code: 2)
            }
        } catch {
            try? StandardStream.error.write([UInt8]("glovebox-engine: \(error.message)\n".utf8))
            Program.exit(error.code)
        }
    }

    /// The libvirt of a URI.
    private static let libvirt: @Sendable (String?) throws(DomainControlError) -> any DomainHost = {
        uri throws(DomainControlError) in
        try LibvirtHost(uri: uri)
    }
}

/// Why a role cannot go on.
struct EngineFailure: Error {
    /// A sentence.
    let message: String
    /// The exit code.
    let code: Int32

    init(_ message: String, code: Int32 = 1) {
        self.message = message
        self.code = code
    }

    init(_ error: SystemError) { self.init("\(error).") }
}
