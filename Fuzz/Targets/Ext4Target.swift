internal import DiskFormats

/// How the ext4 target reads the volume.
struct Ext4Switches: OptionSet {
    let rawValue: UInt8
    /// Take the checksums' features out of the superblock, so that mutations get past them.
    static let withoutChecksums = Ext4Switches(rawValue: 1)
    /// Leave a journal out instead of replaying it.
    static let ignoringJournal = Ext4Switches(rawValue: 2)
}

private enum Bounds {
    static let inodes = 150
    static let namesPerDirectory = 400
    static let lookupsPerDirectory = 8
    static let window: UInt64 = 1 << 21
    static let bytes: UInt64 = 4096
}

/// Opens the volume, walks its tree, and reads the beginning of every file and all attributes.
func fuzzExt4(_ image: PackedImage, _ switches: Ext4Switches) {
    var image = image
    if switches.contains(.withoutChecksums) {
        let superblock: UInt64 = 1024
        let seedInSuperblock: UInt32 = 0x2000
        let groupChecksum: UInt32 = 0x10
        let metadataChecksum: UInt32 = 0x400
        image.clear(seedInSuperblock, at: superblock + 0x60)
        image.clear(groupChecksum | metadataChecksum, at: superblock + 0x64)
    }
    let policy: JournalPolicy = switches.contains(.ignoringJournal) ? .ignore : .replay
    guard let opened = try? Ext4FileSystem(volume: image, journal: policy) else { return }
    _ = opened.summary
    walk(opened)
}

/// Visits inodes breadth-first from the root, each once, and the numbers near the special ones.
private func walk(_ fileSystem: any FileSystem) {
    var queue = [fileSystem.rootInode] + Array(0...16)
    var seen = Set(queue)
    var position = 0
    while position < queue.count, position < Bounds.inodes {
        let number = queue[position]
        position += 1
        guard let inode = try? fileSystem.inode(number) else { continue }
        for attribute in (try? fileSystem.extendedAttributes(of: number)) ?? [] {
            precondition(!attribute.name.isEmpty, "an attribute without a name")
        }
        switch inode.type {
        case .directory:
            for entry in names(in: number, fileSystem) where seen.insert(entry.inode).inserted {
                queue.append(entry.inode)
            }
        case .symbolicLink: _ = try? fileSystem.linkTarget(of: number)
        case .regular: readContent(of: inode, fileSystem)
        default: break
        }
    }
}

private func names(in directory: UInt64, _ fileSystem: any FileSystem) -> [DirectoryEntry] {
    guard let listing = try? fileSystem.entries(of: directory) else { return [] }
    for entry in listing.entries.prefix(Bounds.namesPerDirectory) {
        let isSpecial = entry.name == [0x2E] || entry.name == [0x2E, 0x2E]
        precondition(!entry.name.isEmpty && !isSpecial, "a name that is none")
        precondition(!entry.name.contains(0x2F) && !entry.name.contains(0), "a name with / or NUL")
    }
    for entry in listing.entries.prefix(Bounds.lookupsPerDirectory) {
        _ = try? fileSystem.lookup(entry.name, in: directory)
    }
    _ = try? fileSystem.lookup(Array("no such name".utf8), in: directory)
    return Array(listing.entries.prefix(Bounds.namesPerDirectory))
}

/// Maps the first and last part of a file, and reads the first bytes of it.
private func readContent(of inode: Inode, _ fileSystem: any FileSystem) {
    guard inode.size > 0 else { return }
    for start in [0, inode.size - min(inode.size, Bounds.window)] {
        let range = start..<start + min(inode.size - start, Bounds.window)
        guard let extents = try? fileSystem.extents(of: inode.number, in: range) else { continue }
        var position = range.lowerBound
        for extent in extents {
            precondition(extent.fileOffset == position, "extents with a gap or an overlap")
            precondition(extent.length > 0 && extent.length <= range.upperBound - position)
            position += extent.length
        }
        precondition(position == range.upperBound, "extents that end early")
        let source = ExtentsSource(
            volume: fileSystem.volume,
            extents: extents,
            byteCount: range.upperBound
        )
        let count = min(Bounds.bytes, range.upperBound - range.lowerBound)
        _ = try? source.bytes(at: range.lowerBound, count: Int(count))
    }
}
