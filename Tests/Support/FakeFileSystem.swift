package import DiskFormats

/// A file system in memory whose tree a test writes down, damage and impossibilities included.
///
/// File content stands on a volume in memory, so readers go through the same ranges as on a disk.
package final class FakeFileSystem: FileSystem, @unchecked Sendable {
    // Filled by one test on one thread, then only read: that is the reason for `@unchecked`.

    /// What a range of a fake file consists of.
    package enum Piece {
        /// Bytes on the volume.
        case bytes([UInt8])
        /// Bytes inside the inode.
        case inline([UInt8])
        /// A hole of this length.
        case hole(UInt64)
        /// Allocated and never written, of this length.
        case unwritten(UInt64)
        /// A range whose mapping is damaged, of this length.
        case unmapped(UInt64)
        /// Bytes on the volume that fail to be read, of this length.
        case failing(Int)
    }

    package var inodes: [UInt64: Inode] = [:]
    package var listings: [UInt64: DirectoryListing] = [:]
    package var targets: [UInt64: [UInt8]] = [:]
    package var attributes: [UInt64: [ExtendedAttribute]] = [:]
    private var maps: [UInt64: [FileExtent]] = [:]
    private var content: [UInt8] = [UInt8](repeating: 0xAA, count: 4096)
    private var failing: [Range<UInt64>] = []
    private var nextInode: UInt64 = 10

    package let rootInode: UInt64 = 2
    package var summary: FileSystemSummary {
        FileSystemSummary(type: "fake", blockSize: 4096, totalBytes: UInt64(content.count))
    }
    package var volume: any BlockSource {
        FaultySource(MemorySource(content), failing: failing, layerOffset: layerOffset)
    }
    /// Where the first file's bytes stand in a layer's file, relative to the volume; nil: nowhere.
    package var layerOffset: Int?

    /// An empty root directory.
    package init() {
        inodes[2] = Inode(number: 2, type: .directory, permissions: 0o755, linkCount: 2)
        listings[2] = DirectoryListing()
    }

    /// Adds an inode of `type` without a name and returns its number.
    @discardableResult
    package func addInode(
        _ type: FileType,
        permissions: UInt16 = 0o644,
        _ change: (inout Inode) -> Void = { _ in }
    ) -> UInt64 {
        nextInode += 1
        let time = Timestamp(seconds: 1_700_000_000, nanoseconds: 123_456_789)
        var inode = Inode(number: nextInode, type: type, permissions: permissions, modified: time)
        change(&inode)
        inodes[nextInode] = inode
        if type == .directory { listings[nextInode] = DirectoryListing() }
        return nextInode
    }

    /// Gives `inode` another name in `directory`.
    package func link(_ name: [UInt8], in directory: UInt64, to inode: UInt64) {
        let entry = DirectoryEntry(name: name, inode: inode, type: inodes[inode]?.type)
        listings[directory, default: DirectoryListing()].entries.append(entry)
    }

    /// Adds an inode of `type` under `name` and returns its number.
    @discardableResult
    package func add(
        _ name: String,
        in directory: UInt64 = 2,
        _ type: FileType = .directory,
        permissions: UInt16 = 0o755,
        _ change: (inout Inode) -> Void = { _ in }
    ) -> UInt64 {
        let number = addInode(type, permissions: permissions, change)
        link([UInt8](name.utf8), in: directory, to: number)
        return number
    }

    /// Adds a file made of `pieces` and returns its number.
    @discardableResult
    package func addFile(
        _ name: [UInt8],
        in directory: UInt64 = 2,
        _ pieces: [Piece],
        permissions: UInt16 = 0o644,
        _ change: (inout Inode) -> Void = { _ in }
    ) -> UInt64 {
        let number = addInode(.regular, permissions: permissions)
        var at: UInt64 = 0
        for piece in pieces {
            let extent = place(piece, at: at)
            maps[number, default: []].append(extent)
            at += extent.length
        }
        inodes[number]?.size = at
        if var inode = inodes[number] {
            change(&inode)
            inodes[number] = inode
        }
        link(name, in: directory, to: number)
        return number
    }

    /// Adds a file that holds `text` and returns its number.
    @discardableResult
    package func addFile(_ name: String, in directory: UInt64 = 2, text: String) -> UInt64 {
        addFile([UInt8](name.utf8), in: directory, text.isEmpty ? [] : [.bytes([UInt8](text.utf8))])
    }

    /// Adds a symbolic link and returns its number.
    @discardableResult
    package func addLink(_ name: String, in directory: UInt64 = 2, to target: String) -> UInt64 {
        let number = add(name, in: directory, .symbolicLink, permissions: 0o777) {
            $0.size = UInt64(target.utf8.count)
        }
        targets[number] = [UInt8](target.utf8)
        return number
    }

    private func place(_ piece: Piece, at offset: UInt64) -> FileExtent {
        let damage = DiskError(.badChecksum, "fake extent block", at: 4096, "found 1, expected 2")
        switch piece {
        case .hole(let length):
            return FileExtent(fileOffset: offset, length: length, content: .hole)
        case .unwritten(let length):
            return FileExtent(fileOffset: offset, length: length, content: .unwritten)
        case .unmapped(let length):
            return FileExtent(fileOffset: offset, length: length, content: .unreadable(damage))
        case .inline(let bytes):
            let length = UInt64(bytes.count)
            return FileExtent(fileOffset: offset, length: length, content: .inline(bytes))
        case .bytes(let bytes):
            let start = store(bytes)
            let length = UInt64(bytes.count)
            return FileExtent(fileOffset: offset, length: length, content: .volume(offset: start))
        case .failing(let count):
            let start = store([UInt8](repeating: 0xEE, count: count))
            failing.append(start..<(start + UInt64(count)))
            let length = UInt64(count)
            return FileExtent(fileOffset: offset, length: length, content: .volume(offset: start))
        }
    }

    /// Puts bytes at the next block boundary of the volume.
    private func store(_ bytes: [UInt8]) -> UInt64 {
        let start = content.count
        content.append(contentsOf: bytes)
        let padding = (4096 - content.count % 4096) % 4096
        content.append(contentsOf: repeatElement(0xAA, count: padding))
        return UInt64(start)
    }
}

extension FakeFileSystem {
    package func inode(_ number: UInt64) throws(DiskError) -> Inode {
        guard let inode = inodes[number] else {
            throw DiskError(.outOfRange, "fake inode \(number)", "there is none")
        }
        return inode
    }

    package func entries(
        of directory: UInt64,
        heldBytesMax: Int
    ) throws(DiskError) -> DirectoryListing {
        guard var listing = listings[directory] else {
            throw DiskError(.inconsistent, "fake inode \(directory)", "no directory")
        }
        var room = heldBytesMax
        let fitting = listing.entries.prefix { entry in
            room -= entry.heldBytes
            return room >= 0
        }
        if fitting.count < listing.entries.count {
            listing.entries = Array(fitting)
            listing.problems.append(DiskError(.unsupported, "fake inode", "too many names"))
        }
        return listing
    }

    package func lookup(_ name: [UInt8], in directory: UInt64) throws(DiskError) -> UInt64? {
        try entries(of: directory).entries.first { $0.name == name }?.inode
    }

    package func linkTarget(of number: UInt64) throws(DiskError) -> [UInt8] {
        guard let target = targets[number] else {
            throw DiskError(.inconsistent, "fake inode \(number)", "no symbolic link")
        }
        return target
    }

    package func extents(
        of number: UInt64,
        in range: Range<UInt64>
    ) throws(DiskError) -> [FileExtent] {
        let size = try inode(number).size
        return (maps[number] ?? []).compactMap { extent in
            let start = max(extent.fileOffset, range.lowerBound)
            let end = min(extent.fileOffset + extent.length, range.upperBound, size)
            guard start < end else { return nil }
            let skipped = start - extent.fileOffset
            return FileExtent(
                fileOffset: start,
                length: end - start,
                content: cut(extent.content, skipped, Int(clamping: end - start))
            )
        }
    }

    private func cut(
        _ content: FileExtent.Content,
        _ skipped: UInt64,
        _ count: Int
    ) -> FileExtent.Content {
        switch content {
        case .volume(let offset): .volume(offset: offset + skipped)
        case .inline(let bytes): .inline([UInt8](bytes[Int(skipped)..<(Int(skipped) + count)]))
        case .hole, .unwritten, .unreadable: content
        }
    }

    package func extendedAttributes(of number: UInt64) throws(DiskError) -> [ExtendedAttribute] {
        attributes[number] ?? []
    }
}

/// A source some of whose ranges fail to be read.
package struct FaultySource: BlockSource {
    private let base: any BlockSource
    private let failing: [Range<UInt64>]
    private let layerOffset: Int?

    /// Fails every read that touches one of `failing`.
    ///
    /// The first three million bytes are said to stand in the file of layer 0 where `layerOffset`
    /// is given, which is added to their place on the volume.
    package init(_ base: any BlockSource, failing: [Range<UInt64>], layerOffset: Int? = nil) {
        self.base = base
        self.failing = failing
        self.layerOffset = layerOffset
    }

    package var byteCount: UInt64 { base.byteCount }

    package func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        let range = offset..<(offset + UInt64(buffer.byteCount))
        if let bad = failing.first(where: { $0.overlaps(range) }) {
            throw DiskError(.unreadable, "disk", at: bad.lowerBound, "input/output error")
        }
        try base.read(into: &buffer, at: offset)
    }

    package func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        let below = try base.run(at: offset, limit: limit)
        guard let layerOffset, offset < 3_000_000 else { return below }
        let length = min(below.length, 3_000_000 - offset)
        let place = UInt64(Int(offset) + layerOffset)
        return BlockRun(length: length, origin: .file(layer: 0, offset: place))
    }
}
