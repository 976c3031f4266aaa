internal import EngineProtocol
internal import Linux

/// The one directory of an engine: its name is chosen by the front, so that either can remove it.
enum EngineDirectory {
    /// Sockets of libguestfs are up to 31 bytes below the worker's directory, which is 2 below ours of
    /// 26, and Unix sockets end at 107.
    private static let parentBytesMax = 48

    /// A path that nobody has, below TMPDIR where that is short and plain enough, else below /tmp.
    static func newPath() -> String { EngineRemains.newPath(beneath: parent) }

    private static var parent: String {
        guard let chosen = OwnProcess.variable("TMPDIR"), isPlain(chosen),
            (try? FileDescriptor.openDirectory(chosen)) != nil
        else { return "/tmp" }
        return "/" + chosen.split(separator: "/").joined(separator: "/")
    }

    /// Other programs put it into their options, where a comma or a colon has a meaning.
    private static func isPlain(_ path: String) -> Bool {
        path.hasPrefix("/") && path.utf8.count <= parentBytesMax
            && path.utf8.allSatisfy { byte in
                switch UInt8(byte) {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."),
                    UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}
