internal import Casework
internal import DiskFormats

extension ExtractionRoots {
    /// About how many bytes of content there are to take out, for showing progress.
    ///
    /// A whole file system counts as what its superblock says is used; a part of one is walked. Nil
    /// where that would take noticeable time.
    package func estimatedBytes() -> UInt64? {
        var total: UInt64 = 0
        for root in roots {
            guard let bytes = Self.estimate(root) else { return nil }
            total = total.addingReportingOverflow(bytes).partialValue
        }
        return total
    }

    private static let walkedMax = 100_000

    private static func estimate(_ root: Extraction.Root) -> UInt64? {
        if root.inode == root.fileSystem.rootInode {
            let summary = root.fileSystem.summary
            return summary.totalBytes - min(summary.freeBytes, summary.totalBytes)
        }
        guard let inode = try? root.fileSystem.inode(root.inode) else { return nil }
        guard inode.type == .directory else { return content(of: inode) }
        var total: UInt64 = 0
        var walked = 0
        let isWhole = TreeWalk.run(root.fileSystem, from: root.inode) { event in
            guard case .item(let item) = event, case .success(let inode) = item.inode else {
                return .skip
            }
            walked += 1
            total = total.addingReportingOverflow(content(of: inode)).partialValue
            return walked > walkedMax ? .stop : .enter
        }
        return isWhole ? total : nil
    }

    private static func content(of inode: Inode) -> UInt64 {
        inode.type == .regular ? min(inode.size, inode.allocatedBytes) : 0
    }
}
