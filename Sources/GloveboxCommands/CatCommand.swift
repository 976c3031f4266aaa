internal import ArgumentParser
internal import Casework
internal import DiskFormats
internal import Glovebox
internal import Linux

struct CatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat",
        abstract: "Write the content of files to standard output.",
        discussion: """
            Examples:
              glovebox cat /var/lib/nova/instances/UUID /etc/fstab
              glovebox cat disk.qcow2 disk.qcow2:p1:/var/log/syslog | grep error

            Bytes go out as they are, also to a terminal; `| less` shows them safely. Where a byte \
            cannot be read the output ends before it, and the exit code is 5.
            """
    )

    @OptionGroup var options: TargetOptions

    @Argument(help: "Image file, instance directory, or domain:NAME (ID, UUID).")
    var target: String

    @Argument(help: "Files in the guest.")
    var paths: [String]

    /// What the arguments ask for.
    var job: CatJob { CatJob(settings: options.settings, target: target, paths: paths) }

    func run() throws { try job.run() }
}

/// Writes files of a guest to standard output.
struct CatJob: Equatable {
    var settings = TargetSettings()
    let target: String
    let paths: [String]

    func run() throws { try settings.withInstance(at: target, for: .read, write) }

    private func write(_ instance: Instance) throws {
        for path in paths {
            let file = try instance.file(path)
            let object = "\(file.volume):\(GuestName.escaped(file.path))"
            try refuseUnreadable(file, object)
            let report = copyContent(
                of: file.inode,
                in: file.fileSystem,
                path: file.path,
                to: try .standardOutput(),
                layers: try instance.disk(file.volume.disk).image.spliceFiles
            )
            switch report.ending {
            case .outputClosed: return
            case .failed(let failure): throw GloveboxError(.unreadable, "\(object): \(failure)")
            default: break
            }
            if let problem = report.problems.first, let range = problem.range {
                throw GloveboxError(
                    .unreadable,
                    "\(object): the output ends before byte \(range.lowerBound): \(problem.failure)",
                    advice: "`glovebox extract` takes out what is readable after it, too."
                )
            }
        }
    }

    private func refuseUnreadable(_ file: GuestFile, _ object: String) throws(GloveboxError) {
        let inode = try reading(object) { () throws(DiskError) in
            try file.fileSystem.inode(file.inode)
        }
        guard inode.type == .regular else {
            throw GloveboxError(.usage, "\(object) is not a file but a \(inode.type.rawValue).")
        }
        if let obstacle = inode.obstacle {
            throw GloveboxError(
                .unreadable,
                "\(object) is \(obstacle == .encrypted ? "encrypted by the guest" : "under fs-verity")"
                    + ", so its content cannot be given."
            )
        }
    }
}
