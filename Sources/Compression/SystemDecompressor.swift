internal import CCompression
package import DiskFormats

/// Decompresses clusters with zlib and zstd.
package struct SystemDecompressor: ClusterDecompressor {
    /// Creates a decompressor, which holds nothing.
    package init() {}

    /// The versions of zlib and zstd.
    package static var versions: (zlib: String, zstd: String) {
        (
            unsafe glovebox_zlib_version().map { unsafe String(cString: $0) } ?? "",
            unsafe glovebox_zstd_version().map { unsafe String(cString: $0) } ?? ""
        )
    }

    /// Fills all of `output`, or throws: `inconsistent` where the stream is damaged.
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
        case GLOVEBOX_NO_MEMORY:
            throw DiskError(.unreadable, "", "\(method) could not get memory to decompress")
        default:
            throw DiskError(.inconsistent, "", "not a \(method) stream of exactly \(size) bytes")
        }
    }
}
