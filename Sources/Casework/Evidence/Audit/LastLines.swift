internal import Custody
internal import Linux

/// The end of a file of lines, read from behind, so that the length of the file does not matter.
struct LastLines {
    /// Complete lines, the last one last, without their newlines.
    let lines: [[UInt8]]
    /// What follows the last newline.
    let rest: [UInt8]
    /// Whether ``lines`` are all that the file has.
    let areAll: Bool

    private static let windowBytesMin = 2 << 10

    /// Reads the last `count` lines of the first `size` bytes of `file`, or all where it has fewer.
    ///
    /// No line, nor what follows the last one, may be longer than a hash chain's; nil where one is.
    init?(_ count: Int, of file: FileDescriptor, size: UInt64) throws(SystemError) {
        let newline = UInt8(ascii: "\n")
        let most = UInt64(count + 1) * UInt64(HashChain.lineBytesMax + 1)
        var window = UInt64(Self.windowBytesMin)
        while true {
            let start = size - min(size, window)
            let bytes = try file.bytes(in: start..<size)
            let newlines = bytes.count { $0 == newline }
            guard start == 0 || newlines > count else {
                if window > most { return nil }
                window *= 4
                continue
            }
            var pieces = bytes.split(separator: newline, omittingEmptySubsequences: false)
            rest = pieces.popLast().map(Array.init) ?? []
            areAll = start == 0 && pieces.count <= count
            lines = pieces.suffix(count).map(Array.init)
            let fits = rest.count <= HashChain.lineBytesMax
            guard fits, lines.allSatisfy({ $0.count <= HashChain.lineBytesMax }) else { return nil }
            return
        }
    }
}
