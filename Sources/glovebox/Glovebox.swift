@main
struct GloveboxProgram {
    static func main() {}
}
