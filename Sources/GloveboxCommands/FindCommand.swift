internal import ArgumentParser
internal import Casework
internal import DiskFormats
internal import Glovebox

struct FindCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "find",
        abstract: "Find files by name, type, size and time.",
        discussion: """
            Examples:
              glovebox find /var/lib/nova/instances/UUID /var/log --name '*.log' --newer 2026-01-31
              glovebox find disk.qcow2 / --type file --size +100M --json

            All conditions must hold. Times are UTC and about the last change of the content.
            """
    )

    @OptionGroup var options: TargetOptions

    @Option(
        help: ArgumentHelp(
            "Name, with the wildcards * ? [a-z]; may be repeated, one must fit.",
            valueName: "glob"
        )
    )
    var name: [String] = []

    @Option(
        help: ArgumentHelp(
            "Type: file, directory, symlink, char, block, fifo, socket, or find's letters.",
            valueName: "type"
        )
    )
    var type: String?

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            "Size in bytes, or with k, M, G, T: exactly, +more than, -less than; may be repeated.",
            valueName: "[+-]size"
        )
    )
    var size: [String] = []

    @Option(
        help: ArgumentHelp(
            "Modified after this time: 2026-01-31[T12:00:00Z].",
            valueName: "time"
        )
    )
    var newer: String?

    @Option(help: ArgumentHelp("Modified before this time.", valueName: "time"))
    var older: String?

    @Flag(name: [.customLong("print0")], help: "End each path with NUL; bytes as they are.")
    var print0 = false

    @Flag(name: .short, help: "Show type, permissions, owner, size and time as well.")
    var long = false

    @Argument(help: "Image file, instance directory, or domain:NAME (ID, UUID).")
    var target: String

    @Argument(help: "Where to begin in the guest.")
    var path = "/"

    func run() throws {
        let filter = try FileFilter(
            names: name,
            type: type,
            sizes: size,
            newer: newer,
            older: older
        )
        try options.withInstance(at: target, for: .list) { try list($0, filter) }
    }

    private func list(_ instance: Instance, _ filter: FileFilter) throws {
        let path = try instance.path(path)
        let tree = try instance.tree(of: path)
        let start = try tree.resolve(path.path)
        var listing = FileListing(
            options.json ? .json(of: instance) : print0 ? .rawPaths : long ? .long : .paths
        )
        let first = GuestTree.Found(
            volume: start.volume,
            fileSystem: start.fileSystem,
            path: start.path,
            name: start.path.split(separator: UInt8(ascii: "/")).last.map(Array.init) ?? [],
            inode: Result { () throws(DiskError) in try start.fileSystem.inode(start.inode) }
        )
        if filter.accepts(first) { try listing.add(.found(first), showPath: true) }
        if case .success(let inode) = first.inode, inode.type == .directory {
            try tree.walk(below: start) { event in
                if case .found(let found) = event, !filter.accepts(found) { return .enter }
                try listing.add(event, showPath: true)
                return .enter
            }
        }
        try listing.finish()
        try listing.throwIfIncomplete()
    }
}
