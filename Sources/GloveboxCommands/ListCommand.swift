internal import ArgumentParser
internal import Casework
internal import DiskFormats
internal import Glovebox

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List a directory of the guest.",
        discussion: """
            Examples:
              glovebox ls -l /var/lib/nova/instances/UUID /etc
              glovebox ls -R --json disk.qcow2 disk.qcow2:p1:/home

            Times are UTC, owners are numbers. Names that a terminal might act on are shown with \
            \\xNN escapes; --json keeps their bytes.
            """
    )

    @OptionGroup var options: TargetOptions

    @Flag(name: .short, help: "Show type, permissions, links, owner, size and time.")
    var long = false

    @Flag(name: [.customShort("R"), .long], help: "Also list everything below.")
    var recursive = false

    @Argument(help: "Image file, instance directory, or domain:NAME (ID, UUID).")
    var target: String

    @Argument(help: "Directory or file in the guest.")
    var path = "/"

    /// What the arguments ask for.
    var job: ListJob {
        ListJob(
            settings: options.settings,
            long: long,
            recursive: recursive,
            target: target,
            path: path
        )
    }

    func run() throws { try job.run() }
}

/// Lists a directory of a guest.
struct ListJob: Equatable {
    var settings = TargetSettings()
    var long = false
    var recursive = false
    let target: String
    var path = "/"

    func run() throws { try settings.withInstance(at: target, for: .list, list) }

    private func list(_ instance: Instance) throws {
        let path = try instance.path(path)
        let tree = try instance.tree(of: path)
        let start = try tree.resolve(path.path)
        var listing = FileListing(
            settings.json ? .json(of: instance) : long ? .long : recursive ? .paths : .names
        )
        let inode = try reading("\(start.volume):\(GuestName.escaped(start.path))") {
            () throws(DiskError) in try start.fileSystem.inode(start.inode)
        }
        if inode.type == .directory {
            try tree.walk(below: start) { event in
                try listing.add(event, showPath: recursive)
                return recursive ? .enter : .skip
            }
        } else {
            let name = start.path.split(separator: UInt8(ascii: "/")).last.map(Array.init) ?? []
            let found = GuestTree.Found(
                volume: start.volume,
                fileSystem: start.fileSystem,
                path: start.path,
                name: name,
                inode: .success(inode)
            )
            try listing.add(.found(found), showPath: recursive)
        }
        try listing.finish()
        try listing.throwIfIncomplete()
    }
}
