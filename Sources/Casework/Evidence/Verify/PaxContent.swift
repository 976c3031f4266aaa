internal import Digests
internal import DiskFormats

/// What the content of an entry turned out to be.
struct PaxContent {
    /// The size of the file, holes included.
    let size: UInt64
    /// Bytes of it that no range of its map covers.
    let holes: UInt64
    /// Of the whole content, or, where holes are more than ``holesMax``, of the ranges alone.
    let digest: Digest

    /// Zeros of more holes than this are not hashed.
    static let holesMax: UInt64 = 16 << 30
}

extension PartReader {
    /// Reads the content of `entry` and its padding.
    func content(of entry: PaxEntry, _ watch: VerificationWatch) throws(BagStop) -> PaxContent {
        var hash = SHA256()
        let start = position
        guard let size = entry.realSize else {
            try pieces(entry.storedSize) { piece in hash.update(piece) }
            try zeros((512 - entry.storedSize % 512) % 512, "the padding of a file")
            return PaxContent(size: entry.storedSize, holes: 0, digest: hash.digest)
        }
        let ranges = try sparseMap(of: entry, size: size)
        let stored = ranges.reduce(UInt64(0)) { $0 + ($1.upperBound - $1.lowerBound) }
        guard entry.storedSize == position - start + stored else {
            throw .fault(.byte(.archive, start), "a sparse map does not fit what is stored")
        }
        let holes = size - stored
        let hashesHoles = holes <= PaxContent.holesMax
        var done: UInt64 = 0
        for range in ranges {
            if hashesHoles { try hash.update(zeros: range.lowerBound - done, watch) }
            try pieces(range.upperBound - range.lowerBound) { piece in hash.update(piece) }
            done = range.upperBound
        }
        if hashesHoles { try hash.update(zeros: size - done, watch) }
        try zeros((512 - entry.storedSize % 512) % 512, "the padding of a file")
        return PaxContent(size: size, holes: holes, digest: hash.digest)
    }

    private static let rangesMax: UInt64 = 131_072 + 1

    /// The map of a sparse file in GNU's form 1.0: the number of ranges, then offset and length of
    /// each, a decimal number a line, filled up with zeros to 512 bytes.
    private func sparseMap(
        of entry: PaxEntry,
        size: UInt64
    ) throws(BagStop) -> [Range<UInt64>] {
        let start = position
        let end = start + min(entry.storedSize, rest)
        func number() throws(BagStop) -> UInt64 {
            guard position < end, let line = try line(limit: 20),
                let number = PaxRecords.decimal(line[...])
            else { throw fault("a sparse map is not as it has to be") }
            return number
        }
        let count = try number()
        guard count <= Self.rangesMax else { throw fault("a sparse map has too many ranges") }
        var ranges: [Range<UInt64>] = []
        var last: UInt64 = 0
        for _ in 0..<count {
            let offset = try number()
            let length = try number()
            guard offset >= last, offset <= size, length <= size - offset else {
                throw fault("the ranges of a sparse map are not in order, or leave the file")
            }
            last = offset + length
            if length > 0 { ranges.append(offset..<last) }
        }
        let used = position - start
        try zeros((512 - used % 512) % 512, "the padding of a sparse map")
        return ranges
    }
}

extension SHA256 {
    /// Hashes the zeros of a hole, so that the user can end it.
    fileprivate mutating func update(
        zeros count: UInt64,
        _ watch: VerificationWatch
    ) throws(BagStop) {
        var left = count
        while left > 0 {
            let piece = min(left, 16 << 20)
            try watch.proceed(bytes: 0)
            update(zeros: piece)
            left -= piece
        }
    }
}
