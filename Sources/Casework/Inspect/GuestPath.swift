internal import Linux

/// Names a file on a disk of an instance: `DISK:VOLUME:/path`, or a bare `/path`.
///
/// A bare path means the guest's own tree, as its fstab mounts it. `disk.local::/note` names the
/// volume of a disk without partitions.
public struct GuestPath: Equatable, Sendable {
    /// The disk and the volume on it; nil for a bare path.
    public let volume: VolumeName?
    /// The path's bytes within the volume or tree; begins with a slash.
    public let path: [UInt8]

    /// Names a volume: `disk:p1`.
    public struct VolumeName: Hashable, Sendable, CustomStringConvertible {
        /// The disk's file name, such as `disk` or `disk.local`.
        public let disk: String
        /// The volume on it, such as `p1`; empty for a disk without partitions.
        public let volume: String

        /// Creates a name.
        public init(disk: String, volume: String) {
            self.disk = disk
            self.volume = volume
        }

        /// `disk:p1`; `disk.local:` where the disk has no partitions.
        public var description: String { disk + ":" + volume }
    }

    /// Creates the path from its parts.
    public init(volume: VolumeName? = nil, path: [UInt8]) {
        self.volume = volume
        self.path = path
    }

    /// Reads `argument`, knowing which disks there are, since a disk's name may contain colons.
    ///
    /// `DISK:VOLUME` and `DISK:VOLUME:` mean its root directory. Throws a usage error that lists
    /// the disks where none fits.
    public init(_ argument: String, disks: [String]) throws(GloveboxError) {
        if argument.hasPrefix("/") {
            self.init(path: CommandLineBytes.decode(argument))
            return
        }
        let named = disks.filter { argument.hasPrefix($0 + ":") }.max { $0.count < $1.count }
        guard let disk = named else {
            let known = disks.map { "\($0):…" }.joined(separator: ", ")
            throw GloveboxError(
                .usage,
                "\(argument) is not a guest path.",
                advice: "Write /path, or DISK:VOLUME:/path with one of these disks: \(known)"
            )
        }
        let rest = argument.dropFirst(disk.count + 1)
        var path = "/"
        var volume = rest
        if let separator = rest.firstRange(of: ":/") {
            volume = rest[..<separator.lowerBound]
            path = String(rest[separator.lowerBound...].dropFirst())
        } else if rest.hasSuffix(":") {
            volume = rest.dropLast()
        }
        guard !volume.contains(":") else {
            throw GloveboxError(
                .usage,
                "\(argument) is not a guest path.",
                advice: "The path after DISK:VOLUME: begins with a slash."
            )
        }
        self.init(
            volume: VolumeName(disk: disk, volume: String(volume)),
            path: CommandLineBytes.decode(path)
        )
    }

    /// The parts between the slashes, without empty ones and `.`; `..` is kept.
    package static func components(of path: [UInt8]) -> [[UInt8]] {
        path.split(separator: UInt8(ascii: "/"))
            .filter { $0 != [UInt8(ascii: ".")] }
            .map { [UInt8]($0) }
    }

    /// `/a/b` for `["a", "b"]`, and `/` for none.
    package static func joined(_ components: [[UInt8]]) -> [UInt8] {
        guard !components.isEmpty else { return [UInt8(ascii: "/")] }
        return components.reduce(into: []) { path, name in
            path.append(UInt8(ascii: "/"))
            path.append(contentsOf: name)
        }
    }
}
