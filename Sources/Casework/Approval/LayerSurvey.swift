internal import Linux

/// Finds out of which files a disk consists, before anything of it is read but the headers of its
/// images.
///
/// Takes no locks. Where the chain cannot be followed to its end, what was found until then counts:
/// attaching fails at the same place, or is refused for what was not seen here.
enum LayerSurvey {
    /// A file that was found.
    struct File {
        let realPath: String
        let status: FileStatus
    }

    /// The files of the image at `path`, as `options` have it opened.
    static func files(of path: String, _ options: AttachOptions) -> [File] {
        let files = RecordingFiles(faults: options.faults)
        let walk = ChainWalk(
            files: files,
            allowedDirectories: options.allowedBackingDirectories,
            pinned: options.chain
        )
        var warnings: [String] = []
        _ = try? walk.layers(of: path, format: options.format, warnings: &warnings)
        return files.found
    }
}

/// The files of the host, and which of them were opened.
private final class RecordingFiles: LayerFiles {
    private let files: HostFiles
    private(set) var found: [LayerSurvey.File] = []

    init(faults: (@Sendable (Int) -> ReadFaults?)?) {
        files = HostFiles(locking: .none, faults: faults)
    }

    func locate(_ path: String) throws(AttachError) -> HostFiles.File {
        let file = try files.locate(path)
        // The image itself counts even where it cannot be opened; a backing file that is not allowed
        // does not, lest an image find out what there is on the host.
        if found.isEmpty { record(file.realPath, file.status) }
        return file
    }

    func open(_ file: HostFiles.File, layer: Int) throws(AttachError) -> OpenFile {
        let open = try files.open(file, layer: layer)
        record(open.realPath, open.status)
        return open
    }

    func realPath(ofDirectory path: String) -> String? { files.realPath(ofDirectory: path) }

    func content(of path: String) throws(AttachError) -> [UInt8]? { try files.content(of: path) }

    private func record(_ realPath: String, _ status: FileStatus) {
        found.append(LayerSurvey.File(realPath: realPath, status: status))
    }
}
