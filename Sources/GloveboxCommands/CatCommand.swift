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

            Bytes go out as they are, also to a terminal; `| less` shows them safely. A range that \
            cannot be read is named on standard error, and the exit code is 5.
            """
    )

    @OptionGroup var options: TargetOptions

    @Argument(help: "Image file or instance directory.")
    var target: String

    @Argument(help: "Files in the guest.")
    var paths: [String]

    func run() throws {
        let instance = try options.open(target)
        var failures = 0
        for path in paths {
            let file = try instance.file(path)
            let object = "\(file.volume):\(GuestName.escaped(file.path))"
            try refuseUnreadable(file, object)
            let report = copyContent(
                of: file.inode,
                in: file.fileSystem,
                path: file.path,
                to: try .standardOutput(),
                layers: try instance.disk(file.volume.disk).image.hostFiles
            )
            for problem in report.problems {
                let range = problem.range.map { " bytes \($0.lowerBound)–\($0.upperBound - 1)" }
                Message.warn("\(object)\(range ?? ""): \(problem.failure)")
            }
            if report.ending == .outputClosed { return }
            if case .failed(let failure) = report.ending {
                throw GloveboxError(.unreadable, "\(failure)")
            }
            failures += report.problems.count
        }
        options.report(on: instance)
        guard failures == 0 else {
            throw GloveboxError(
                .unreadable,
                "Not everything could be read; zeros stand for what is missing."
            )
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
