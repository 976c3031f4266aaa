internal import DiskFormats

/// Reads the map of a file in windows, so that memory stays bounded however large the file is.
struct ExtentWindows {
    private let fileSystem: any FileSystem
    private let inode: UInt64
    private let size: UInt64
    private var position: UInt64
    private var length: UInt64

    /// Where a window is first asked for this much; sparse files are then asked for more at once.
    static let firstLength: UInt64 = 64 << 20
    /// 1 GiB: at most a million extents, even of 1 KiB each.
    private static let lengthMax: UInt64 = 1 << 30

    init(_ fileSystem: any FileSystem, inode: UInt64, from start: UInt64, to size: UInt64) {
        self.fileSystem = fileSystem
        self.inode = inode
        self.size = size
        self.position = start
        self.length = Self.firstLength
    }

    /// The extents of the next window, or nil at the end; what cannot be mapped is one extent.
    mutating func next() -> [FileExtent]? {
        guard position < size else { return nil }
        let range = position..<(position + min(length, size - position))
        position = range.upperBound
        let extents = Self.read(fileSystem, inode, range)
        length = extents.count <= 64 ? min(length * 2, Self.lengthMax) : Self.firstLength
        return extents
    }

    static func read(
        _ fileSystem: any FileSystem,
        _ inode: UInt64,
        _ range: Range<UInt64>
    ) -> [FileExtent] {
        guard !range.isEmpty else { return [] }
        do throws(DiskError) {
            return try fileSystem.extents(of: inode, in: range)
        } catch {
            let length = range.upperBound - range.lowerBound
            let content = FileExtent.Content.unreadable(error)
            return [FileExtent(fileOffset: range.lowerBound, length: length, content: content)]
        }
    }
}

/// Which ranges of a file have data; the rest is holes.
///
/// Ranges begin and end at multiples of 512, or at the end of the file: GNU tar takes each for whole
/// blocks of the archive. Bytes that are added for that read as zeros.
struct DataRanges {
    private(set) var ranges: [Range<UInt64>] = []
    private let size: UInt64
    /// Holes shorter than this are written as zeros: only to keep the map of a file small.
    private var gapMin: UInt64 = 1

    /// An archive's map has at most this many ranges.
    private static let countMax = 131_072

    /// No data yet, of a file of `size` bytes.
    init(size: UInt64) { self.size = size }

    mutating func add(_ extents: [FileExtent]) {
        for extent in extents where extent.hasData {
            add(extent.fileOffset..<(extent.fileOffset + extent.length))
        }
    }

    private mutating func add(_ exact: Range<UInt64>) {
        let end = min(exact.upperBound, size)
        let padding = min((512 - end % 512) % 512, size - end)
        let start = min(exact.lowerBound - exact.lowerBound % 512, end)
        if let last = ranges.last, start < last.upperBound || start - last.upperBound < gapMin {
            ranges[ranges.count - 1] = last.lowerBound..<max(last.upperBound, end + padding)
            return
        }
        ranges.append(start..<(end + padding))
        while ranges.count > Self.countMax {
            gapMin *= 4
            let all = ranges
            ranges.removeAll(keepingCapacity: true)
            for one in all { add(one) }
        }
    }

    /// Bytes in all ranges.
    var byteCount: UInt64 { ranges.reduce(0) { $0 + ($1.upperBound - $1.lowerBound) } }

    /// The ranges where the file has holes, nil where it has none.
    var sparse: [Range<UInt64>]? {
        if size == 0 { return nil }
        if ranges.count == 1, ranges[0] == 0..<size { return nil }
        return ranges
    }
}

extension FileExtent {
    /// Whether bytes stand behind it.
    var hasData: Bool {
        switch content {
        case .volume, .inline: true
        case .hole, .unwritten, .unreadable: false
        }
    }

    /// The part of it within `range`, which it overlaps.
    func part(_ range: Range<UInt64>) -> FileExtent {
        let start = max(fileOffset, range.lowerBound)
        let end = min(fileOffset + length, range.upperBound)
        let skipped = start - fileOffset
        let part: FileExtent.Content =
            switch content {
            case .volume(let offset): .volume(offset: offset &+ skipped)
            case .inline(let bytes):
                .inline([UInt8](bytes.dropFirst(Int(skipped)).prefix(Int(end - start))))
            case .hole, .unwritten, .unreadable: content
            }
        return FileExtent(fileOffset: start, length: end - start, content: part)
    }
}
