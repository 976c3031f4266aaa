internal import Glibc
internal import Linux

/// The directories in which Nova keeps its instances, for telling whose a file is.
struct NovaInstances {
    /// Where a file lies.
    struct Place: Equatable {
        /// Whether it is in an instances directory.
        var isInside = false
        /// The instances whose it is; none for what is in `_base` or in no instance's directory.
        var instances: Set<String> = []

        mutating func formUnion(_ other: Place) {
            isInside = isInside || other.isInside
            instances.formUnion(other.instances)
        }
    }

    /// Those that there are, free of symbolic links.
    private let directories: [String]
    /// What lies directly in an instance's directory or `_base`, and those directories themselves,
    /// by the name of the directory.
    private let known = Known()

    /// Finds the directories; one that does not exist holds no instance.
    init(_ paths: [String]) throws(GloveboxError) {
        var directories: [String] = []
        for path in paths {
            do throws(SystemError) {
                let flags = FileDescriptor.pathOnly | O_DIRECTORY
                directories.append(try FileDescriptor.open(path, flags).realPath())
            } catch {
                if error.errno != ENOENT { throw Self.undecided(error) }
            }
        }
        self.directories = directories
    }

    /// Whether there is none on this host.
    var isEmpty: Bool { directories.isEmpty }

    /// Where the file of this path and identity lies: by its path, or by being the same file as one
    /// that lies there (hard links, bind mounts).
    ///
    /// Throws where that cannot be told: what may be an instance is not opened.
    func place(realPath: String, _ status: FileStatus) throws(GloveboxError) -> Place {
        var place = Place()
        let path = Array(realPath.utf8)
        for directory in directories {
            let prefix = Array(directory.utf8) + [UInt8(ascii: "/")]
            if Array(directory.utf8) == path { place.isInside = true }
            guard path.starts(with: prefix) else { continue }
            let name = path.dropFirst(prefix.count).prefix { $0 != UInt8(ascii: "/") }
            place.formUnion(Self.place(in: String(decoding: name, as: UTF8.self)))
        }
        // A second name may be in another instance's directory.
        if place.isInside, status.kind == .directory || status.linkCount == 1 { return place }
        for name in try names(of: status.identity) { place.formUnion(Self.place(in: name)) }
        return place
    }

    /// What lies in the directory `name` of the instances directory.
    private static func place(in name: String) -> Place {
        Place(isInside: true, instances: ApprovalDocument.isUUID(name) ? [name] : [])
    }

    private func names(of identity: FileStatus.Identity) throws(GloveboxError) -> Set<String> {
        let entries: [Known.Entry]
        if let known = known.entries {
            entries = known
        } else {
            var found: [Known.Entry] = []
            do throws(SystemError) {
                for directory in directories { try Self.collect(directory, into: &found) }
            } catch {
                throw Self.undecided(error)
            }
            known.entries = found
            entries = found
        }
        return Set(entries.lazy.filter { $0.identity == identity }.map(\.name))
    }

    private static func collect(
        _ directory: String,
        into found: inout [Known.Entry]
    ) throws(SystemError) {
        for (name, entry) in try directoryStatuses(directory) {
            found.append((entry.identity, name))
            guard entry.kind == .directory else { continue }
            let files = try passingOver { () throws(SystemError) in
                try directoryStatuses("\(directory)/\(name)")
            }
            for file in files ?? [] { found.append((file.status.identity, name)) }
        }
    }

    /// Nil for what is gone by now: instances come and go.
    private static func passingOver<Value>(
        _ body: () throws(SystemError) -> Value
    ) throws(SystemError) -> Value? {
        do throws(SystemError) { return try body() } catch {
            if [ENOENT, ELOOP, ENOTDIR].contains(error.errno) { return nil }
            throw error
        }
    }

    private static func undecided(_ error: SystemError) -> GloveboxError {
        GloveboxError(
            .refused,
            "Whether this is an instance of Nova cannot be told: \(error).",
            advice: "Run glovebox as a user who may look into the instances directory."
        )
    }

    private final class Known {
        typealias Entry = (identity: FileStatus.Identity, name: String)
        /// Nil until somebody asks.
        var entries: [Entry]?
    }
}
