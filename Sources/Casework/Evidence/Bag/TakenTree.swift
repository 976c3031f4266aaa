internal import DiskFormats

/// What was taken as a tree that a person can look at, whatever the number of files.
///
/// A directory shows its first names, and the deepest level is given up when there are too many;
/// what is not shown is counted where it is.
struct TakenTree {
    struct Node {
        let name: [UInt8]
        let depth: Int
        var type: FileType
        var isPartial = false
        /// Whether it is a further name of a file that has its content elsewhere.
        var isLink = false
        /// Whether it has an entry of its own, and is not only a part of paths.
        var isEntry = false
        /// Entries at and beneath it.
        var entries: UInt64 = 0
        /// Sizes of all files at and beneath it.
        var bytes: UInt64 = 0
        var children: [Int] = []
        /// Entries beneath it.
        var beneath: UInt64 { entries - (isEntry ? 1 : 0) }
    }

    /// The first one is the root.
    private(set) var nodes = [Node(name: [], depth: 0, type: .directory)]
    private var depthMax = 12
    private var latest: (parent: [UInt8], chain: [Int])?

    static let nodesMax = 2_000
    static let childrenMax = 40

    mutating func add(_ record: ArchiveRecord, isPartial: Bool) {
        let path = record.item.path
        let slash = path.lastIndex(of: 0x2F) ?? 0
        var chain = chain(of: path[..<slash])
        let name = [UInt8](path[(slash == 0 && path.first != 0x2F ? 0 : slash + 1)...])
        let isDirectory = record.item.inode.type == .directory
        if let node = child(name, of: chain[chain.count - 1], isLeaf: !isDirectory) {
            nodes[node].type = record.item.inode.type
            nodes[node].isPartial = isPartial
            nodes[node].isEntry = true
            nodes[node].isLink = record.item.linkTo != nil
            chain.append(node)
        }
        let bytes = record.content == nil ? 0 : record.item.inode.size
        for node in chain {
            nodes[node].entries += 1
            nodes[node].bytes = nodes[node].bytes.addingReportingOverflow(bytes).partialValue
        }
        if nodes.count > Self.nodesMax { prune() }
    }

    /// The nodes from the root down to the directory `path`, as far as it is shown.
    private mutating func chain(of path: ArraySlice<UInt8>) -> [Int] {
        if let latest, path.elementsEqual(latest.parent) { return latest.chain }
        var chain = [0]
        for component in path.split(separator: 0x2F) {
            let node = child([UInt8](component), of: chain[chain.count - 1], isLeaf: false)
            guard let node else { break }
            chain.append(node)
        }
        latest = ([UInt8](path), chain)
        return chain
    }

    /// The child of that name, made where there is room; nil where there is none.
    private mutating func child(_ name: [UInt8], of parent: Int, isLeaf: Bool) -> Int? {
        let node = nodes[parent]
        // The entry of a file comes once; a directory may have been met as a part of a path.
        if !isLeaf, let known = node.children.first(where: { nodes[$0].name == name }) {
            return known
        }
        guard node.children.count < Self.childrenMax, node.depth < depthMax else { return nil }
        nodes.append(Node(name: name, depth: node.depth + 1, type: isLeaf ? .regular : .directory))
        nodes[parent].children.append(nodes.count - 1)
        return nodes.count - 1
    }

    /// Gives up the deepest level, until at most half of the nodes are left.
    private mutating func prune() {
        latest = nil
        while nodes.count > Self.nodesMax / 2, depthMax > 1 {
            depthMax = (nodes.map(\.depth).max() ?? 1) - 1
            var place = [Int](repeating: 0, count: nodes.count)
            var kept: [Node] = []
            for (index, node) in nodes.enumerated() where node.depth <= depthMax {
                place[index] = kept.count
                kept.append(node)
            }
            for index in kept.indices {
                kept[index].children = kept[index].children
                    .filter { nodes[$0].depth <= depthMax }
                    .map { place[$0] }
            }
            nodes = kept
        }
    }
}
