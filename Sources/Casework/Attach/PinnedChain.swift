internal import Linux

/// A file of a disk's chain as the one who runs the disk states it.
package struct PinnedLayer: Equatable, Sendable {
    /// The absolute path of the file, as `CommandLineBytes` carries it.
    package let path: String
    /// The format in which it is used.
    package let format: ImageFormat

    /// States that `path` is used as `format`.
    package init(path: String, format: ImageFormat) {
        self.path = path
        self.format = format
    }
}

/// The files that a running instance has open for a disk, by the live description of its domain.
///
/// The headers of the images still lead from file to file; this is what they have to lead to. So
/// neither a header that a guest wrote into a raw disk nor one that was changed under a running
/// instance decides what is opened.
package struct PinnedChain: Equatable, Sendable {
    /// The layers, the image itself first.
    package let layers: [PinnedLayer]
    /// Whether there are no more than ``layers``; otherwise those below are as the headers say.
    package let isComplete: Bool

    /// States a chain.
    package init(_ layers: [PinnedLayer], isComplete: Bool) {
        self.layers = layers
        self.isComplete = isComplete
    }

    /// Refuses `file` where it is not layer `index`, which is to be read as `format`.
    func check(
        _ file: some LocatedFile,
        _ format: ImageFormat,
        layer index: Int,
        _ files: some LayerFiles
    ) throws(AttachError) {
        let found = "\(file.path.debugDescription) (\(format.rawValue))"
        guard layers.indices.contains(index) else {
            guard isComplete else { return }
            throw AttachError(
                .refused,
                layers.first?.path ?? file.path,
                "its chain leads to \(found) as layer \(index), where the description of the "
                    + "running domain ends with layer \(layers.count - 1)" + Self.advice
            )
        }
        let stated = layers[index]
        let identity: FileStatus.Identity
        do throws(AttachError) {
            identity = try files.locate(stated.path).status.identity
        } catch {
            throw AttachError(error.kind, stated.path, "\(Self.stated(index)): \(error.message)")
        }
        guard identity == file.status.identity, stated.format == format else {
            throw AttachError(
                .refused,
                layers[0].path,
                "its layer \(index) is \(found), but by the description of the running domain "
                    + "\(stated.path.debugDescription) (\(stated.format.rawValue))" + Self.advice
            )
        }
    }

    /// Refuses a chain of `count` layers where it is shorter than this.
    func checkEnd(_ count: Int) throws(AttachError) {
        guard count < layers.count else { return }
        let next = layers[count]
        throw AttachError(
            .refused,
            layers[0].path,
            "its chain ends with layer \(count - 1), where the description of the running domain "
                + "has \(next.path.debugDescription) (\(next.format.rawValue)) below" + Self.advice
        )
    }

    private static func stated(_ index: Int) -> String {
        "is layer \(index) by the description of the running domain"
    }

    private static var advice: String {
        "; the images have changed under the instance, or a job moves them: look at "
            + "virsh domblklist and virsh blockjob"
    }
}
