internal import Synchronization

/// Decompresses clusters of qcow2 images; a seam, since the libraries for it are not linked here.
public protocol ClusterDecompressor: Sendable {
    /// Fills all of `output` with what `input` decompresses to, or throws.
    ///
    /// `input` may have bytes after the stream, since its length is known to a sector only.
    func decompress(
        _ input: RawSpan,
        method: QCOW2Header.Compression,
        into output: inout MutableRawSpan
    ) throws(DiskError)
}

/// Keeps the clusters that were decompressed last, since a reader comes back for their rest.
///
/// Memory is bounded: 4 MiB, or two clusters where those are larger.
final class DecompressedClusters: Sendable {
    private struct Kept {
        let cluster: CompressedCluster
        let bytes: [UInt8]
    }

    private let capacity: Int
    private let kept: Mutex<(clusters: [Kept], next: Int)>

    init(clusterSize: UInt64) {
        capacity = max(2, min(64, (4 << 20) / Int(clusterSize)))
        kept = Mutex(([], 0))
    }

    func find(_ cluster: CompressedCluster) -> [UInt8]? {
        kept.withLock { state in state.clusters.first { $0.cluster == cluster }?.bytes }
    }

    func keep(_ cluster: CompressedCluster, _ bytes: [UInt8]) {
        kept.withLock { state in
            guard state.clusters.count >= capacity else {
                state.clusters.append(Kept(cluster: cluster, bytes: bytes))
                return
            }
            state.clusters[state.next] = Kept(cluster: cluster, bytes: bytes)
            state.next = (state.next + 1) % capacity
        }
    }
}
