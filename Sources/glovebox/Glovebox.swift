internal import GloveboxCommands

@main
struct GloveboxProgram {
    static func main() { CommandLineProgram.main() }
}
