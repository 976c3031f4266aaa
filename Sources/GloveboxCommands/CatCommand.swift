internal import ArgumentParser
internal import Casework
internal import DiskFormats
internal import Glovebox
internal import Linux

struct CatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat",
        abstract: "Write a file's content to standard output.",
        discussion: """
            Examples:
              glovebox cat /var/lib/nova/instances/UUID /etc/fstab
              glovebox cat disk.qcow2 disk.qcow2:p1:/var/log/syslog | grep error
            """
    )
    @OptionGroup var options: TargetOptions

    @Argument(help: "Image file or instance directory.")
    var target: String

    @Argument(help: "Files in the guest.")
    var paths: [String]

    func run() throws {
    }
}
