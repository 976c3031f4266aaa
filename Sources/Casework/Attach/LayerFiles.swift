internal import DiskFormats
internal import Glibc
internal import Linux

/// A file that was found by its path, and is not yet open for reading.
protocol LocatedFile {
    /// The path by which it was found.
    var path: String { get }
    /// The path by which the kernel knows it.
    var realPath: String { get }
    /// What kind of file it is, and which.
    var status: FileStatus { get }
}

/// A file of the chain, open for reading.
struct OpenFile {
    let path: String
    let realPath: String
    let status: FileStatus
    let source: any BlockSource
    let descriptor: FileDescriptor?
    let warnings: [String]
    /// Whether QEMU's read locks are held on it, and seen by whoever else could open it.
    var isLocked = true
}

/// Where the chain walk gets its files from; a seam, so that its rules are tested without any.
protocol LayerFiles {
    associatedtype File: LocatedFile

    /// Finds a file without opening it.
    func locate(_ path: String) throws(AttachError) -> File
    /// Opens what was found, and nothing else, as layer `layer`.
    func open(_ file: File, layer: Int) throws(AttachError) -> OpenFile
    /// The real path of a directory, or nil where there is none.
    func realPath(ofDirectory path: String) -> String?
    /// The content of a small file, or nil where there is none.
    func content(of path: String) throws(AttachError) -> [UInt8]?
}

/// The files of the host.
struct HostFiles: LayerFiles {
    /// A file named by a descriptor that can neither read nor disturb it.
    struct File: LocatedFile {
        let path: String
        let realPath: String
        let status: FileStatus
        fileprivate let handle: FileDescriptor
    }

    let locking: AttachOptions.Locking
    let faults: (@Sendable (Int) -> ReadFaults?)?

    func locate(_ path: String) throws(AttachError) -> File {
        do throws(SystemError) {
            // O_PATH: a FIFO would block, a device could react to being opened.
            let handle = try FileDescriptor.open(path, FileDescriptor.pathOnly)
            return File(
                path: path,
                realPath: try handle.realPath(),
                status: try handle.status(),
                handle: handle
            )
        } catch {
            throw AttachError(error)
        }
    }

    func open(_ file: File, layer: Int) throws(AttachError) -> OpenFile {
        let descriptor: FileDescriptor
        var status: FileStatus
        do throws(SystemError) {
            descriptor = try file.handle.reopen(
                O_RDONLY | O_NONBLOCK | O_NOCTTY,
                path: file.path,
                faults: faults?(layer)
            )
            status = try descriptor.status()
        } catch {
            throw AttachError(error)
        }
        guard status.kind == .regular, status.identity == file.status.identity else {
            throw AttachError(.refused, file.path, "changed into another file while being opened")
        }
        var warnings: [String] = []
        if locking == .hold {
            let answer = try ImageLocks.hold(descriptor, isTop: layer == 0)
            if case .unknown(let why) = answer {
                warnings.append(
                    "\(file.path): whether a running instance writes to it is unknown: \(why)"
                )
            }
            // Until the locks were there, its size could change.
            do throws(SystemError) { status = try descriptor.status() } catch {
                throw AttachError(error)
            }
        }
        let name = "layer \(layer) (\(file.path))"
        return OpenFile(
            path: file.path,
            realPath: file.realPath,
            status: status,
            source: FileSource(descriptor, byteCount: status.size, name: name),
            descriptor: descriptor,
            warnings: warnings,
            isLocked: locking == .hold && warnings.isEmpty
        )
    }

    func realPath(ofDirectory path: String) -> String? {
        let handle = try? FileDescriptor.open(path, FileDescriptor.pathOnly | O_DIRECTORY)
        return try? handle?.realPath()
    }

    func content(of path: String) throws(AttachError) -> [UInt8]? {
        do throws(SystemError) {
            let handle = try FileDescriptor.open(path, FileDescriptor.pathOnly | O_NOFOLLOW)
            guard try handle.status().kind == .regular else {
                throw SystemError(call: "open", path: path, errno: EINVAL)
            }
            return try handle.reopen(O_RDONLY | O_NONBLOCK).readAll(limit: 1 << 20)
        } catch {
            if error.errno == ENOENT { return nil }
            throw AttachError(error)
        }
    }
}
