internal import DiskFormats
internal import Linux

/// Finds the files of a disk, from the image down to the last backing file.
///
/// What a guest or a stranger can have written into an image decides here which files of the host
/// are opened. So only plain paths are followed, only into directories that are allowed, and only
/// where the format is recorded; each refusal names its reason.
struct ChainWalk<Files: LayerFiles> {
    /// One layer with all that is needed to read it.
    struct Layer {
        let file: OpenFile
        let format: ImageFormat
        /// The header of a qcow2 layer.
        let header: QCOW2Header?
    }

    /// The most layers that a chain may have.
    static var layersMax: Int { 16 }

    let files: Files
    let allowedDirectories: [String]
    /// What the walk has to find, where the disk is one of a running domain.
    var pinned: PinnedChain?

    /// The layers, the image itself first; `warnings` grows by what a user ought to know.
    func layers(
        of path: String,
        format: ImageFormat?,
        warnings: inout [String]
    ) throws(AttachError) -> [Layer] {
        guard !path.isEmpty else { throw AttachError(.usage, path, "no path was given") }
        let located = try files.locate(path)
        try Self.refuseSpecial(located)
        let rule = DirectoryRule(image: located.realPath, also: allowedDirectories, files)
        var layers: [Layer] = []
        var next: (file: Files.File, format: ImageFormat?)? = (
            located, try topFormat(located, stated: format)
        )
        while let (file, stated) = next {
            if let stated { try pinned?.check(file, stated, layer: layers.count, files) }
            let open = try files.open(file, layer: layers.count)
            warnings += open.warnings
            let format = if let stated { stated } else { try topFormat(open, &warnings) }
            let layer = Layer(file: open, format: format, header: try header(open, format))
            layers.append(layer)
            next = try backing(of: layer, after: layers, rule)
        }
        try pinned?.checkEnd(layers.count)
        return layers
    }

    private func header(
        _ file: OpenFile,
        _ format: ImageFormat
    ) throws(AttachError) -> QCOW2Header? {
        guard format == .qcow2 else { return nil }
        do throws(DiskError) {
            return try QCOW2Header(reading: file.source)
        } catch {
            if pinned != nil, [.badMagic, .truncated].contains(error.reason) {
                throw AttachError(
                    .refused,
                    file.path,
                    "the running domain has it as qcow2, but it is none: \(error)"
                )
            }
            throw AttachError(error, in: file.path)
        }
    }

    private func backing(
        of layer: Layer,
        after layers: [Layer],
        _ rule: DirectoryRule
    ) throws(AttachError) -> (Files.File, ImageFormat)? {
        guard let header = layer.header, let bytes = header.backingFile else { return nil }
        let image = layer.file.path
        let name: BackingName
        do throws(DiskError) {
            name = try BackingName(bytes)
        } catch {
            throw AttachError(error, in: image)
        }
        let format = try Self.recordedFormat(header, image, name.path)
        guard layers.count < Self.layersMax else {
            throw AttachError(.refused, image, "the chain has more than \(Self.layersMax) layers")
        }
        let path = name.path(relativeTo: image, carriedBy: CommandLineBytes.encode)
        let file: Files.File
        do throws(AttachError) { file = try files.locate(path) } catch {
            // Whether a file exists elsewhere on the host is not for an image to find out.
            guard rule.allows(directoryOf: path, files) else { throw Self.outside(image, name) }
            throw error
        }
        guard rule.allows(file.realPath) else { throw Self.outside(image, name) }
        try Self.refuseSpecial(file)
        guard !layers.contains(where: { $0.file.status.identity == file.status.identity }) else {
            throw AttachError(
                .refused,
                image,
                "its backing file \(name.path.debugDescription) is already in the chain: a loop"
            )
        }
        return (file, format)
    }

    private static func outside(_ image: String, _ name: BackingName) -> AttachError {
        AttachError(
            .refused,
            image,
            "its backing file \(name.path.debugDescription) is outside the allowed directories; "
                + "allow its directory with --allow-backing if you trust the image"
        )
    }

    private static func recordedFormat(
        _ header: QCOW2Header,
        _ image: String,
        _ name: String
    ) throws(AttachError) -> ImageFormat {
        guard let bytes = header.backingFormat else {
            throw AttachError(
                .refused,
                image,
                "no format is recorded for its backing file \(name.debugDescription), and guessing "
                    + "one is not safe; record it in a copy with qemu-img rebase -u -F"
            )
        }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let format = ImageFormat(rawValue: text) else {
            throw AttachError(
                .refused,
                image,
                "the recorded format of its backing file is \(text.debugDescription); "
                    + "raw and qcow2 are read here"
            )
        }
        return format
    }

    private static func refuseSpecial(_ file: some LocatedFile) throws(AttachError) {
        let kind = file.status.kind
        let advice: String
        switch kind {
        case .regular: return
        case .blockDevice:
            advice = "block devices are not read; copy it to a file or give an image file"
        case .directory: advice = "give an image file in it"
        default: advice = "only regular files are read"
        }
        throw AttachError(.refused, file.path, "is a \(kind.rawValue); \(advice)")
    }
}
