internal import DiskFormats
internal import Linux

/// The one form that a header of a bag's outer tar has; only name and size differ.
///
/// Layout: POSIX.1-2008, ustar interchange format; sizes from 8 GiB on as GNU tar writes them.
struct OuterTarHeader: Equatable {
    let name: [UInt8]
    let size: UInt64

    static let byteCount = 512
    private static let nameBytes = 100
    private static let octalSizes: Range<UInt64> = 0..<(8 << 30)

    init(name: [UInt8], size: UInt64) {
        self.name = name
        self.size = size
    }

    /// Reads name and size, and nothing else; nil where they are not there.
    init?(_ block: [UInt8]) {
        guard block.count == Self.byteCount else { return nil }
        name = Array(block[..<Self.nameBytes].prefix { $0 != 0 })
        let field = block[124..<136]
        if field.first == 0x80 {
            guard field.dropFirst().dropLast(8).allSatisfy({ $0 == 0 }) else { return nil }
            size = field.suffix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        } else {
            let digits = field.prefix(11)
            guard digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "7") ~= $0 }) else {
                return nil
            }
            size = digits.reduce(UInt64(0)) { $0 << 3 | UInt64($1 - 0x30) }
        }
        guard !name.isEmpty, name.count < Self.nameBytes, size <= UInt64(Int64.max) else {
            return nil
        }
    }

    /// The header as it has to be, byte for byte.
    var block: [UInt8] {
        var block = [UInt8](repeating: 0, count: Self.byteCount)
        func put(_ bytes: some Collection<UInt8>, at offset: Int) {
            block.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
        }
        put(name, at: 0)
        for (offset, text) in [(100, "0000644"), (108, "0000000"), (116, "0000000")] {
            put(text.utf8, at: offset)
        }
        if Self.octalSizes.contains(size) {
            put(Self.octal(size, digits: 11), at: 124)
        } else {
            put([0x80], at: 124)
            put((0..<8).map { UInt8(truncatingIfNeeded: size >> (56 - 8 * $0)) }, at: 128)
        }
        put("00000000000".utf8, at: 136)
        put("0".utf8, at: 156)
        put("ustar".utf8, at: 257)
        put("00".utf8, at: 263)
        for offset in [329, 337] { put("0000000".utf8, at: offset) }
        // The sum counts itself as eight blanks.
        var sum: UInt64 = 8 * 0x20
        for byte in block { sum += UInt64(byte) }
        put(Self.octal(sum, digits: 6) + [0, 0x20], at: 148)
        return block
    }

    private static func octal(_ value: UInt64, digits: Int) -> [UInt8] {
        (0..<digits).reversed().map { UInt8(ascii: "0") + UInt8(value >> (3 * UInt64($0)) & 7) }
    }

    /// Zeros after the content.
    var padding: UInt64 { (512 - size % 512) % 512 }
}

/// Finds the files in a bag's outer tar; the contents are not read yet.
struct OuterTarReader {
    private let descriptor: FileDescriptor
    private let size: UInt64
    private var position: UInt64 = 0
    private var files = BagFile.allCases[...]
    private(set) var name: [UInt8]?
    private(set) var parts: [BagPart] = []

    private static let zeros = [UInt8](repeating: 0, count: OuterTarHeader.byteCount)
    /// The longest name of a bag.
    static let nameBytesMax = 60

    init(_ descriptor: FileDescriptor, size: UInt64) {
        self.descriptor = descriptor
        self.size = size
    }

    /// Whether the file begins as a bag does; anything else is no bag at all.
    static func isBag(_ block: [UInt8]) -> Bool {
        guard block.count == OuterTarHeader.byteCount else { return false }
        let name = block.prefix(100).prefix { $0 != 0 }
        let archive = Array("/\(BagFile.archive.rawValue)".utf8)
        let magic = Array("ustar".utf8)
        return name.suffix(archive.count).elementsEqual(archive)
            && block[257..<262].elementsEqual(magic)
    }

    /// Whether `name` may be the name of a bag.
    static func isName(_ name: some Collection<UInt8>) -> Bool {
        let isPlain = name.allSatisfy {
            switch $0 {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "-"):
                true
            default: false
            }
        }
        let begins = name.first.map { $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "-") } ?? false
        return isPlain && begins && name.count <= nameBytesMax
    }

    /// Reads all headers, the padding and the end.
    mutating func read() throws(BagStop) {
        while true {
            let block = try bytes(OuterTarHeader.byteCount, "a header")
            if block == Self.zeros { return try end() }
            try member(block)
        }
    }

    private mutating func member(_ block: [UInt8]) throws(BagStop) {
        let start = position - UInt64(block.count)
        guard let header = OuterTarHeader(block) else {
            throw .fault(.outerByte(start), "here is no header of a bag's tar")
        }
        let expected = header.block
        guard block == expected else {
            let first = zip(block, expected).prefix { $0 == $1 }.count
            throw .fault(
                .outerByte(start + UInt64(first)),
                "the header of \(GuestName.escaped(header.name)) is not as it has to be"
            )
        }
        let file = try file(header, at: start)
        guard header.size <= size - position else {
            throw .fault(.outerByte(size), "the tar ends within \(file.rawValue)")
        }
        let part = BagPart(
            file: file,
            descriptor: descriptor,
            offset: position,
            size: header.size
        )
        parts.append(part)
        position += header.size
        let padding = try bytes(Int(header.padding), "the padding of \(file.rawValue)")
        if padding != Array(Self.zeros.prefix(padding.count)) {
            let first = padding.prefix { $0 == 0 }.count
            throw .fault(
                .outerByte(position - UInt64(padding.count - first)),
                "the padding after \(file.rawValue) is not zero"
            )
        }
    }

    /// Which file of a bag it is; each comes in its place.
    private mutating func file(
        _ header: OuterTarHeader,
        at start: UInt64
    ) throws(BagStop) -> BagFile {
        let parts = header.name.split(
            separator: UInt8(ascii: "/"),
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        let bag = Array(parts[0])
        guard parts.count == 2, Self.isName(bag), name.map({ $0 == bag }) ?? true else {
            let shown = GuestName.escaped(header.name)
            throw .fault(.outerByte(start), "\(shown) does not begin with the bag's name")
        }
        name = bag
        while let file = files.popFirst() {
            if parts[1].elementsEqual(file.rawValue.utf8) { return file }
            guard file.isOptional else {
                let shown = GuestName.escaped(Array(parts[1]))
                throw .fault(
                    .outerByte(start),
                    "\(shown) stands where \(file.rawValue) belongs"
                )
            }
        }
        let shown = GuestName.escaped(Array(parts[1]))
        throw .fault(.outerByte(start), "\(shown) is no file of a bag, or not in its place")
    }

    /// The first of two blocks of zeros was read.
    private mutating func end() throws(BagStop) {
        let start = position
        if let missing = files.first(where: { !$0.isOptional }) {
            throw .fault(
                .outerByte(start - UInt64(OuterTarHeader.byteCount)),
                "the tar ends where \(missing.rawValue) belongs"
            )
        }
        let block = try bytes(OuterTarHeader.byteCount, "the blocks that end it")
        if block != Self.zeros {
            let first = block.prefix { $0 == 0 }.count
            throw .fault(
                .outerByte(start + UInt64(first)),
                "the second of the blocks that end the tar is not zero"
            )
        }
        guard position == size else {
            throw .fault(.outerByte(position), "there is more after the end of the tar")
        }
    }

    private mutating func bytes(_ count: Int, _ what: String) throws(BagStop) -> [UInt8] {
        guard UInt64(count) <= size - position else {
            throw .fault(.outerByte(size), "the tar ends within \(what)")
        }
        var bytes = [UInt8](repeating: 0, count: count)
        guard count > 0 else { return bytes }
        let got: Int
        do throws(SystemError) {
            got = try descriptor.read(into: &bytes, at: position)
        } catch {
            throw .system(error)
        }
        guard got == count else {
            throw .fault(.outerByte(position + UInt64(got)), "the tar became shorter meanwhile")
        }
        position += UInt64(count)
        return bytes
    }
}
