@testable import DiskFormats

/// Changes an image and makes its checksums right again, so that the change reaches the parser.
struct Ext4Spoiler {
    /// A structure of the image that something can be written into.
    enum Structure {
        case superblock
        case descriptor(Int)
        case inode(UInt64)
        case directoryBlock(place: Int, node: Ext4Node)
        case extentBlock(place: Int, node: Ext4Node)
        case attributeBlock(place: Int)
        case indirectBlock(place: Int)
    }

    let image: [UInt8]
    let superblock: Ext4Superblock
    private(set) var places: [(structure: Structure, range: Range<Int>)] = []

    init(_ image: [UInt8]) throws {
        self.image = image
        let fileSystem = try Ext4FileSystem(volume: MemorySource(image))
        superblock = fileSystem.superblock
        places.append((.superblock, 1024..<2048))
        let table = superblock.blockSize == 1024 ? 2048 : superblock.blockSize
        for group in 0..<Int(superblock.groupCount) {
            let start = table + group * superblock.descriptorSize
            places.append((.descriptor(group), start..<(start + superblock.descriptorSize)))
        }
        for number in UInt64(1)...superblock.inodesCount {
            guard let node = try? fileSystem.node(number) else { continue }
            let start = Int(node.offset)
            places.append((.inode(number), start..<(start + superblock.inodeSize)))
            try addBlocks(of: node, fileSystem)
        }
    }

    private mutating func addBlocks(of node: Ext4Node, _ fileSystem: Ext4FileSystem) throws {
        let size = superblock.blockSize
        if node.type == .directory {
            for extent in try fileSystem.extents(of: node, in: 0..<node.size) {
                guard case .volume(let offset) = extent.content else { continue }
                for place in stride(from: Int(offset), to: Int(offset + extent.length), by: size) {
                    places.append(
                        (.directoryBlock(place: place, node: node), place..<(place + size))
                    )
                }
            }
        }
        let span = node.bytes.span
        let attributes = Int(try span.raw.u32(at: 0x68)) * size
        if attributes != 0 {
            places.append((.attributeBlock(place: attributes), attributes..<(attributes + size)))
        }
        guard node.type == .regular || node.type == .directory else { return }
        if node.flags.contains(.extents), try span.raw.u16(at: 0x2E) > 0 {
            for index in 0..<Int(try span.raw.u16(at: 0x2A)) {
                let place = Int(try span.raw.u32(at: 0x34 + 12 * index + 4)) * size
                places.append((.extentBlock(place: place, node: node), place..<(place + size)))
            }
        } else if !node.flags.contains(.extents), !node.flags.contains(.inlineData) {
            for index in 12..<15 {
                let place = Int(try span.raw.u32(at: 0x28 + 4 * index)) * size
                guard place > 0 else { continue }
                places.append((.indirectBlock(place: place), place..<(place + size)))
            }
        }
    }

    /// The image with the little-endian `value` at `offset`, and the checksum made right.
    func image(
        writing value: UInt64,
        bytes: Int,
        at offset: Int,
        in structure: Structure
    ) throws -> [UInt8] {
        var changed = image
        for index in 0..<bytes { changed[offset + index] = UInt8(value >> (8 * index) & 0xFF) }
        try fix(structure, in: &changed)
        return changed
    }

    /// Makes the checksum of a structure right.
    func fix(_ structure: Structure, in image: inout [UInt8]) throws {
        switch structure {
        case .superblock:
            let sum = Self.sum(~0, image[1024..<2044])
            Self.put(sum, at: 2044, in: &image)
        case .descriptor(let group): fixDescriptor(group, in: &image)
        case .inode(let number): fixInode(number, in: &image)
        case .directoryBlock(let place, let node):
            fixDirectory(place, node.checksumSeed, in: &image)
        case .extentBlock(let place, let node):
            let room = Int(image[place + 4]) | Int(image[place + 5]) << 8
            let end = place + 12 + 12 * room
            guard end + 4 <= place + superblock.blockSize else { return }
            Self.put(Self.sum(node.checksumSeed, image[place..<end]), at: end, in: &image)
        case .attributeBlock(let place):
            Self.put(0, at: place + 16, in: &image)
            var sum = CRC32C(seed: superblock.checksumSeed)
            sum.add(UInt64(place / superblock.blockSize))
            sum.add(Array(image[place..<(place + superblock.blockSize)]))
            Self.put(sum.value, at: place + 16, in: &image)
        case .indirectBlock: break
        }
    }

    private func fixDescriptor(_ group: Int, in image: inout [UInt8]) {
        let table = superblock.blockSize == 1024 ? 2048 : superblock.blockSize
        let start = table + group * superblock.descriptorSize
        image[start + 0x1E] = 0
        image[start + 0x1F] = 0
        var sum = CRC32C(seed: superblock.checksumSeed)
        sum.add(UInt32(group))
        sum.add(Array(image[start..<(start + superblock.descriptorSize)]))
        image[start + 0x1E] = UInt8(sum.value & 0xFF)
        image[start + 0x1F] = UInt8(sum.value >> 8 & 0xFF)
    }

    private func fixInode(_ number: UInt64, in image: inout [UInt8]) {
        for place in places {
            guard case .inode(number) = place.structure else { continue }
            let start = place.range.lowerBound
            let wide = superblock.inodeSize > 128 && (image[start + 0x80] >= 4)
            (image[start + 0x7C], image[start + 0x7D]) = (0, 0)
            if wide { (image[start + 0x82], image[start + 0x83]) = (0, 0) }
            var sum = CRC32C(seed: superblock.checksumSeed)
            sum.add(UInt32(number))
            sum.add(Array(image[(start + 0x64)..<(start + 0x68)]))
            sum.add(Array(image[place.range]))
            image[start + 0x7C] = UInt8(sum.value & 0xFF)
            image[start + 0x7D] = UInt8(sum.value >> 8 & 0xFF)
            guard wide else { return }
            image[start + 0x82] = UInt8(sum.value >> 16 & 0xFF)
            image[start + 0x83] = UInt8(sum.value >> 24)
        }
    }

    private func fixDirectory(_ place: Int, _ seed: UInt32, in image: inout [UInt8]) {
        let end = place + superblock.blockSize - 12
        if image[end + 7] == 0xDE {
            return Self.put(Self.sum(seed, image[place..<end]), at: end + 8, in: &image)
        }
        let first = image[place + 4] == 12 ? 32 : 8
        let limit = Int(image[place + first]) | Int(image[place + first + 1]) << 8
        let count = Int(image[place + first + 2]) | Int(image[place + first + 3]) << 8
        let tail = place + first + limit * 8
        guard tail + 8 <= place + superblock.blockSize, count <= limit else { return }
        var sum = CRC32C(seed: seed)
        sum.add(Array(image[place..<(place + first + count * 8)]))
        sum.add(Array(image[tail..<(tail + 4)]))
        sum.add(UInt32(0))
        Self.put(sum.value, at: tail + 4, in: &image)
    }

    private static func sum(_ seed: UInt32, _ bytes: ArraySlice<UInt8>) -> UInt32 {
        var sum = CRC32C(seed: seed)
        sum.add(Array(bytes))
        return sum.value
    }

    private static func put(_ value: UInt32, at offset: Int, in image: inout [UInt8]) {
        for index in 0..<4 { image[offset + index] = UInt8(value >> (8 * UInt32(index)) & 0xFF) }
    }
}
