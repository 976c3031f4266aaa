internal import Linux

/// What a TARGET names: an instance directory of Nova, a single image file, or a domain of libvirt.
package struct Target: Equatable, Sendable {
    /// A disk of the target.
    package struct DiskFile: Equatable, Sendable {
        /// How guest paths call it: the file's name.
        package let name: String
        /// The image file.
        package let path: String
        /// The files that it must be found to consist of; nil where nobody states them.
        package var chain: PinnedChain?
    }

    /// A domain of libvirt.
    package struct Domain: Equatable, Sendable {
        /// The uuid, which for an instance of Nova is the instance's.
        package let uuid: String
        /// Whether Nova says in its description that it is one of its instances.
        package let isNovas: Bool
    }

    /// What a TARGET begins with that names a domain; `./` before it names a file.
    package static let domainPrefix = "domain:"

    /// The target as it was given.
    package let path: String
    /// Its disks, the root disk first.
    package let disks: [DiskFile]
    /// The domain whose disks they are; nil where a path was given.
    package let domain: Domain?

    /// The disks of a domain, as they were found by its description.
    init(_ name: String, _ domain: Domain, disks: [DiskFile]) {
        path = name
        self.domain = domain
        self.disks = disks
    }

    /// Finds the disks of `path`.
    ///
    /// Of an instance directory these are `disk` and all regular files `disk.*` but `disk.info`, as
    /// Nova's libvirt driver names them (`disk.local`, `disk.eph0`, `disk.swap`, `disk.config`).
    package init(_ path: String) throws(GloveboxError) {
        self.path = path
        domain = nil
        let kind: FileStatus.Kind
        do throws(SystemError) {
            kind = try FileDescriptor.open(path, FileDescriptor.pathOnly).status().kind
        } catch {
            throw GloveboxError(
                error.name == "ENOENT" || error.name == "ENOTDIR" ? .notFound : .unreadable,
                "\(error)",
                advice: "TARGET is an image file or an instance directory such as "
                    + "/var/lib/nova/instances/UUID."
            )
        }
        guard kind == .directory else {
            disks = [
                DiskFile(name: path.split(separator: "/").last.map(String.init) ?? path, path: path)
            ]
            return
        }
        let names: [String]
        do throws(SystemError) { names = try directoryNames(path) } catch {
            throw GloveboxError(.unreadable, "\(error)")
        }
        let disks = names.filter { Self.isDisk($0) && Self.isFile("\(path)/\($0)") }
            .sorted(by: Self.precedes)
        guard !disks.isEmpty else {
            throw GloveboxError(
                .notFound,
                "\(path) is a directory without an instance's disk: no file named disk or disk.*",
                advice: "Give the directory under `instances` that bears the instance's UUID."
            )
        }
        self.disks = disks.map { DiskFile(name: $0, path: "\(path)/\($0)") }
    }

    private static func isDisk(_ name: String) -> Bool {
        name == "disk" || name.hasPrefix("disk.") && name != "disk.info"
    }

    /// Whether it is no directory, FIFO or socket that merely has such a name.
    ///
    /// What cannot be looked at counts, as does a device, so that it is refused by name.
    private static func isFile(_ path: String) -> Bool {
        let kind = try? FileDescriptor.open(path, FileDescriptor.pathOnly).status().kind
        return ![.directory, .fifo, .socket].contains(kind)
    }

    /// Nova's order of attaching: root, ephemeral, swap, config drive.
    private static func precedes(_ left: String, _ right: String) -> Bool {
        func rank(_ name: String) -> Int {
            switch name {
            case "disk": 0
            case "disk.local": 1
            case "disk.swap": 3
            case "disk.config": 4
            default: name.hasPrefix("disk.eph") ? 1 : 5
            }
        }
        return (rank(left), left) < (rank(right), right)
    }
}
