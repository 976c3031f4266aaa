package import Linux

/// Which files a disk consists of and how they are read, for telling whether that has changed.
///
/// Taken before and after an instance is held; equal values mean the same disk. Sizes of files do
/// not count: an image that the guest writes to grows.
package struct ChainIdentity: Equatable, Sendable {
    /// One file of the chain.
    package struct Layer: Equatable, Sendable {
        /// The path by which the kernel knows it.
        package let realPath: String
        /// Which file it is.
        package let identity: FileStatus.Identity
        /// How it is read.
        package let format: ImageFormat
        /// The size of the disk that it describes, in bytes.
        package let virtualSize: UInt64

        /// Byte for byte: to Swift, paths that look alike are equal.
        package static func == (left: Layer, right: Layer) -> Bool {
            left.realPath.utf8.elementsEqual(right.realPath.utf8)
                && left.identity == right.identity && left.format == right.format
                && left.virtualSize == right.virtualSize
        }
    }

    /// The files, the image itself first.
    package let layers: [Layer]

    /// What `disk` was found to be when it was attached.
    package init(_ disk: AttachedDisk) {
        layers = disk.layers.map {
            Layer(
                realPath: $0.realPath,
                identity: $0.identity,
                format: $0.format,
                virtualSize: $0.virtualSize
            )
        }
    }
}
