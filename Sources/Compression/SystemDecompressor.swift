internal import CCompression
package import DiskFormats

/// Decompresses clusters with the system's zlib and zstd, which are loaded when first needed.
package struct SystemDecompressor: ClusterDecompressor {
    /// Creates a decompressor; loads nothing yet.
    package init() {}

    /// Fills all of `output`, or throws: `unsupported` where the library is not installed.
    package func decompress(
        _ input: RawSpan,
        method: QCOW2Header.Compression,
        into output: inout MutableRawSpan
    ) throws(DiskError) {
        let size = output.byteCount
        let result = unsafe output.withUnsafeMutableBytes { output in
            unsafe input.withUnsafeBytes { input in
                switch method {
                case .zlib:
                    unsafe glovebox_inflate(
                        input.baseAddress,
                        input.count,
                        output.baseAddress,
                        output.count
                    )
                case .zstd:
                    unsafe glovebox_zstd(
                        input.baseAddress,
                        input.count,
                        output.baseAddress,
                        output.count
                    )
                }
            }
        }
        try Self.check(result, method, size)
    }

    private static func check(
        _ result: glovebox_decompression,
        _ method: QCOW2Header.Compression,
        _ size: Int
    ) throws(DiskError) {
        switch result {
        case GLOVEBOX_DECOMPRESSED: return
        case GLOVEBOX_LIBRARY_MISSING:
            let package = method == .zlib ? "zlib1g" : "libzstd1"
            throw DiskError(
                .unsupported,
                "",
                "compressed with \(method), whose library is missing; install \(package)"
            )
        case GLOVEBOX_NO_MEMORY:
            throw DiskError(.unreadable, "", "\(method) could not get memory to decompress")
        default:
            throw DiskError(.inconsistent, "", "not a \(method) stream of exactly \(size) bytes")
        }
    }
}
