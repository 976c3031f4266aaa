/// One entry of an extended attribute region, before its value is fetched.
///
/// Layout: Linux `Documentation/filesystems/ext4/attributes.rst`.
struct Ext4AttributeEntry {
    let nameIndex: UInt8
    let name: [UInt8]
    let valueOffset: Int
    /// The inode that holds the value, or 0 where the region itself does.
    let valueInode: UInt64
    let valueSize: Int
    /// Where the entry begins in its region.
    let offset: Int

    /// Parses the entry at `offset`, or nil where the list ends there.
    init?(_ raw: RawSpan, at offset: Int) throws(DiskError) {
        // Four zero bytes end the list; a list may also fill its region to the end.
        guard offset + 4 <= raw.byteCount, try raw.u32(at: offset) != 0 else { return nil }
        self.offset = offset
        let nameLength = Int(try raw.u8(at: offset))
        nameIndex = try raw.u8(at: offset + 1)
        valueOffset = Int(try raw.u16(at: offset + 2))
        valueInode = UInt64(try raw.u32(at: offset + 4))
        valueSize = Int(try raw.u32(at: offset + 8))
        name = try raw.array(at: offset + 16, count: nameLength)
        // No system call can have set it, and whoever takes it for a C string sees another name.
        guard !name.contains(0) else {
            throw DiskError(.outOfRange, "", at: UInt64(offset + 16), "a name with a zero byte")
        }
    }

    /// Where the next entry begins.
    var next: Int { offset + (16 + name.count + 3) & ~3 }

    /// The name with the prefix that its index stands for, or nil where Linux lists no such name.
    var fullName: [UInt8]? {
        let prefix: String
        switch nameIndex {
        case 0: return name.isEmpty ? nil : name
        case 1: prefix = "user."
        case 2: return Array("system.posix_acl_access".utf8)
        case 3: return Array("system.posix_acl_default".utf8)
        case 4: prefix = "trusted."
        case 6: prefix = "security."
        case 7: prefix = "system."
        case 8: prefix = "system.richacl"
        case 10: prefix = "gnu."
        default: return nil
        }
        return Array(prefix.utf8) + name
    }

    /// Whether this is the rest of an inode's inline data rather than an attribute.
    var isInlineData: Bool { nameIndex == 7 && name == Array("data".utf8) }
    var isAccessControlList: Bool { nameIndex == 2 || nameIndex == 3 }
}

extension Ext4FileSystem {
    /// The largest value that Linux hands out (`XATTR_SIZE_MAX`).
    private static let valueSizeMax = 65536
    /// More than any inode has; entries that share one value could add up to hundreds of megabytes.
    private static let valueBytesMax = 16 << 20

    /// Extended attributes with their full names; see ``FileSystem/extendedAttributes(of:)``.
    ///
    /// Throws where any of them is damaged.
    public func extendedAttributes(
        of number: UInt64
    ) throws(DiskError) -> [ExtendedAttribute] {
        let node = try node(number)
        var attributes: [ExtendedAttribute] = []
        let span = node.bytes.span
        let start = try inlineRegionStart(of: node)
        if let start {
            let region = try span.raw.slice(at: start, count: node.bytes.count - start)
            try collect(region, from: 0, node.offset + UInt64(start), node, into: &attributes)
        }
        let block = try fields.attributeBlock(span.raw)
        if block != 0 { try collectBlock(block, node, into: &attributes) }
        return attributes
    }

    /// What the attribute `system.data` holds: the rest of a file of inline data.
    func inlineAttribute(of node: Ext4Node) throws(DiskError) -> [UInt8]? {
        guard let start = try inlineRegionStart(of: node) else { return nil }
        let span = node.bytes.span
        let region = try span.raw.slice(at: start, count: node.bytes.count - start)
        var at = 0
        do throws(DiskError) {
            while let entry = try Ext4AttributeEntry(region, at: at) {
                if entry.isInlineData {
                    return try region.array(at: entry.valueOffset, count: entry.valueSize)
                }
                at = entry.next
            }
        } catch {
            throw error.within("\(node.name) attributes", at: node.offset + UInt64(start))
        }
        return nil
    }

    /// Where the entries behind the inode's fields begin, or nil where there are none.
    private func inlineRegionStart(of node: Ext4Node) throws(DiskError) -> Int? {
        let span = node.bytes.span
        let end: Int
        do throws(DiskError) { end = try fields.extraEnd(span.raw) } catch {
            throw error.within(node.name, at: node.offset)
        }
        return try fields.attributeStart(span.raw, end)
    }

    private func collectBlock(
        _ block: UInt64,
        _ node: Ext4Node,
        into attributes: inout [ExtendedAttribute]
    ) throws(DiskError) {
        let structure = "\(node.name) attribute block"
        guard block > superblock.firstDataBlock, block < superblock.blocksCount else {
            throw DiskError(
                .outOfRange,
                structure,
                at: node.offset + 0x68,
                "block \(block), of \(superblock.blocksCount)"
            )
        }
        let place = block << superblock.blockShift
        do throws(DiskError) {
            try cache.withBytes(at: place, count: superblock.blockSize) {
                (raw) throws(DiskError) in
                guard try raw.u32(at: 0) == 0xEA02_0000 else {
                    throw DiskError(.badMagic, "", at: 0, "does not begin with 0xEA020000")
                }
                try verifyAttributeBlock(raw, block)
                try collect(raw, from: 32, place, node, into: &attributes)
            }
        } catch {
            throw error.structure.isEmpty ? error.within(structure, at: place) : error
        }
    }

    private func verifyAttributeBlock(_ raw: RawSpan, _ block: UInt64) throws(DiskError) {
        guard superblock.features.hasMetadataChecksums else { return }
        var sum = CRC32C(seed: superblock.checksumSeed)
        sum.add(block)
        sum.add(try raw.slice(at: 0, count: 0x10))
        sum.add(UInt32(0))
        sum.add(try raw.slice(at: 0x14, count: raw.byteCount - 0x14))
        guard try raw.u32(at: 0x10) == sum.value else {
            throw DiskError(.badChecksum, "", at: 0x10, "its checksum does not match")
        }
    }

    /// Adds all attributes of a region whose entries begin at `start`, and whose value offsets
    /// count from its first byte.
    private func collect(
        _ region: RawSpan,
        from start: Int,
        _ place: UInt64,
        _ node: Ext4Node,
        into attributes: inout [ExtendedAttribute]
    ) throws(DiskError) {
        var at = start
        var valueBytes = 0
        do throws(DiskError) {
            while let entry = try Ext4AttributeEntry(region, at: at) {
                at = entry.next
                valueBytes += min(entry.valueSize, Self.valueBytesMax)
                guard valueBytes <= Self.valueBytesMax else {
                    throw DiskError(
                        .outOfRange,
                        "",
                        at: UInt64(entry.offset),
                        "values of more than \(Self.valueBytesMax) bytes on one inode"
                    )
                }
                guard !entry.isInlineData, let name = entry.fullName else { continue }
                var value = try value(of: entry, region, node)
                if entry.isAccessControlList { value = try Ext4AccessControl.linuxForm(of: value) }
                attributes.append(ExtendedAttribute(name: name, value: value))
            }
        } catch {
            throw error.structure.isEmpty
                ? error.within("\(node.name) attributes", at: place) : error
        }
    }

    private func value(
        of entry: Ext4AttributeEntry,
        _ region: RawSpan,
        _ node: Ext4Node
    ) throws(DiskError) -> [UInt8] {
        guard entry.valueSize <= Self.valueSizeMax else {
            throw DiskError(
                .outOfRange,
                "",
                at: UInt64(entry.offset + 8),
                "a value of \(entry.valueSize) bytes"
            )
        }
        guard entry.valueInode != 0 else {
            guard entry.valueSize > 0 else { return [] }
            return try region.array(at: entry.valueOffset, count: entry.valueSize)
        }
        return try value(in: entry.valueInode, size: entry.valueSize, of: node)
    }

    /// The value that an inode of its own holds, under ea_inode.
    private func value(
        in number: UInt64,
        size: Int,
        of owner: Ext4Node
    ) throws(DiskError) -> [UInt8] {
        let holder = try node(number)
        guard holder.flags.contains(.attributeInode), holder.type == .regular,
            holder.size == UInt64(size)
        else {
            throw DiskError(
                .inconsistent,
                holder.name,
                at: holder.offset,
                "does not hold an attribute value of \(size) bytes"
            )
        }
        let value = try content(of: holder)
        guard superblock.features.hasMetadataChecksums else { return value }
        var sum = CRC32C(seed: superblock.checksumSeed)
        sum.add(value)
        let span = holder.bytes.span
        let ownerSpan = owner.bytes.span
        // Lustre's older form has no hash, but names its owner by number and generation.
        let hash = try span.raw.u32(at: 0x08)
        let parent = try span.raw.u32(at: 0x10)
        let generation = try span.raw.u32(at: 0x64)
        let ownGeneration = try ownerSpan.raw.u32(at: 0x64)
        let namesOwner =
            parent == UInt32(truncatingIfNeeded: owner.number) && generation == ownGeneration
        guard hash == sum.value || namesOwner else {
            throw DiskError(
                .badChecksum,
                holder.name,
                at: holder.offset + 8,
                "the hash of the attribute value does not match"
            )
        }
        return value
    }
}
