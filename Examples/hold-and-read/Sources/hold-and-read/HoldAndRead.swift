import Glovebox

/// Prints a file of an instance that runs.
///
/// The instance is suspended meanwhile, for ten seconds at most, and goes on whatever happens.
///
///     sudo swift run hold-and-read domain:instance-0000002a /etc/hostname
@main
struct HoldAndRead {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else {
            print("usage: hold-and-read domain:NAME FILE")
            return
        }
        var options = Instance.Options()
        options.pauseSecondsMax = 10
        options.onWarning = { print("warning: \($0)") }
        options.onUnwindingError = { print("letting go: \($0)") }

        let content = try await withInstance(arguments[1], for: .read, options: options) {
            instance in
            let file = try instance.file(arguments[2])
            return try file.fileSystem.content(of: file.inode, limit: 1 << 20)
        }
        // Printed when the instance runs again: what is slow is not done while it waits.
        print(String(decoding: content, as: UTF8.self))
    }
}
