internal import GuestfsEngine
internal import Linux

/// What `glovebox` starts for itself; nobody else has a use for it.
///
/// `glovebox-engine worker` answers requests over the socket that it finds as descriptor 3. Under the
/// name `glovebox-appliance` it becomes the QEMU that libguestfs asked for.
@main
struct GloveboxEngine {
    static func main() {
        if Program.name == ApplianceRole.programName {
            Program.exit(ApplianceRole.run(Program.arguments))
        }
        switch Program.arguments.first.map({ String(decoding: $0, as: UTF8.self) }) {
        case "worker":
            Program.exit(WorkerRole.run())
        default:
            Program.complain("glovebox-engine: glovebox starts this program; it is of no other use")
            Program.exit(2)
        }
    }
}
