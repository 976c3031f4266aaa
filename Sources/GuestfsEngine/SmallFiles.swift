/// Contents of small files that were fetched together with one that was asked for.
///
/// A request for one file opens, reads and closes it in the appliance, which without KVM takes eight
/// milliseconds however short the file is. The appliance's shell puts hundreds of them together in
/// a quarter of a second. Bounded; each content is given once.
struct SmallFiles {
    private var contents: [[UInt8]: [UInt8]] = [:]
    private var byteCount = 0
    /// False once files could not be read together.
    private var readsTogether = true

    private static let byteCountMax = 8 << 20
    /// Below that many the shell does not pay.
    private static let countMin = 40

    /// The content of a regular file of `size` bytes; nil where it has to be read by itself.
    ///
    /// `fetch` gives the contents of files, `count` bytes together, one after another.
    mutating func content<Failure: Error>(
        of path: [UInt8],
        size: Int,
        _ known: inout KnownDirectories,
        fetch: (_ paths: [[UInt8]], _ count: Int) throws(Failure) -> [UInt8]
    ) -> [UInt8]? {
        if let found = contents.removeValue(forKey: path) {
            byteCount -= found.count
            return found.count == size ? found : nil
        }
        guard readsTogether else { return nil }
        let files = known.smallFiles(from: path) { contents[$0] != nil }
        guard files.count >= Self.countMin, files.first?.size == size else { return nil }
        let total = files.reduce(0) { $0 + $1.size }
        guard let bytes = try? fetch(files.map(\.path), total), bytes.count == total else {
            // One cannot be read; by itself each says so.
            readsTogether = false
            return nil
        }
        if byteCount + total > Self.byteCountMax {
            contents = [:]
            byteCount = 0
        }
        var start = size
        for file in files.dropFirst() {
            contents[file.path] = Array(bytes[start..<start + file.size])
            byteCount += file.size
            start += file.size
        }
        return Array(bytes[..<size])
    }
}
