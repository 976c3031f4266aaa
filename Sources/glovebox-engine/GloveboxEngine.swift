internal import EngineProtocol
internal import GuestfsEngine
internal import Linux
internal import NBDClient

@main
struct GloveboxEngine {
    static func main() {}
}
