internal import GuestfsEngine
internal import Linux

/// What `glovebox` starts for itself; nobody else has a use for it.
///
/// `glovebox-engine worker` answers requests over the socket that it finds as descriptor 3. Under the
/// name `glovebox-appliance` it becomes the QEMU that libguestfs asked for.
@main
struct GloveboxEngine {
    static func main() {
        if ApplianceRole.isWanted { Program.exit(ApplianceRole.run(Program.arguments)) }
        switch Program.arguments.first.map({ String(decoding: $0, as: UTF8.self) }) {
        case "worker":
            Program.exit(WorkerRole.run())
        default:
            let line = "glovebox-engine is started by glovebox, not by hand.\n"
            try? StandardStream.error.write([UInt8](line.utf8))
            Program.exit(2)
        }
    }
}
