internal import Compression
internal import DiskFormats
internal import Linux

/// Opens the image at `path` and everything below it, read-only and checked.
///
/// Each file is opened once, by the descriptor that was checked, and nothing outside the rules of
/// ``AttachOptions`` is opened at all. Throws with the kind of reason and the file it is about.
package func attach(
    _ path: String,
    options: AttachOptions = AttachOptions()
) throws(AttachError) -> AttachedDisk {
    var warnings: [String] = []
    return try attach(path, options: options, warnings: &warnings)
}

/// The same; `warnings` also has what a user ought to know where it throws.
package func attach(
    _ path: String,
    options: AttachOptions,
    warnings: inout [String]
) throws(AttachError) -> AttachedDisk {
    let files = HostFiles(locking: options.locking, faults: options.faults)
    return try attach(path, options: options, files: files, warnings: &warnings)
}

/// The same with files from elsewhere.
func attach(
    _ path: String,
    options: AttachOptions,
    files: some LayerFiles,
    warnings: inout [String]
) throws(AttachError) -> AttachedDisk {
    let walk = ChainWalk(
        files: files,
        allowedDirectories: options.allowedBackingDirectories,
        pinned: options.chain
    )
    let layers = try walk.layers(of: path, format: options.format, warnings: &warnings)

    var described: [DiskLayer] = []
    var source: (any BlockSource)?
    for layer in layers.reversed() {
        let above: any BlockSource
        if let header = layer.header {
            do throws(DiskError) {
                above = try QCOW2Image(
                    header,
                    file: layer.file.source,
                    backing: source,
                    decompressor: SystemDecompressor()
                )
            } catch {
                throw AttachError(error, in: layer.file.path)
            }
        } else {
            above = layer.file.source
        }
        described.append(
            DiskLayer(
                path: layer.file.path,
                realPath: layer.file.realPath,
                format: layer.format,
                virtualSize: above.byteCount,
                fileSize: layer.file.status.size,
                allocatedBytes: layer.file.status.allocatedBytes,
                identity: layer.file.status.identity,
                isLocked: layer.file.isLocked
            )
        )
        source = above
    }
    guard let source else { throw AttachError(.usage, path, "no layer") }
    return AttachedDisk(
        path: path,
        layers: described.reversed(),
        descriptors: layers.map(\.file.descriptor),
        source: source,
        warnings: warnings
    )
}
