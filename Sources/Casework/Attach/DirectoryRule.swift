/// In which directories backing files may lie, by real paths.
///
/// Paths are compared as bytes: two names that Unicode calls equivalent are two directories.
struct DirectoryRule {
    /// Directories whose own files are allowed, but none further down: where the image lies, and
    /// Nova's `_base` beside that.
    private let flat: [[UInt8]]
    /// Directories that the user allowed, with everything below.
    private let deep: [[UInt8]]

    init(image: String, also directories: [String], _ files: some LayerFiles) {
        let own = image.parentDirectory
        let base = files.realPath(ofDirectory: own.parentDirectory.withSlash + "_base")
        flat = [Array(own.utf8)] + [base].compactMap { $0.map { Array($0.utf8) } }
        deep = directories.compactMap { directory in
            files.realPath(ofDirectory: directory).map { Array($0.withSlash.utf8) }
        }
    }

    /// Whether a file with this real path may be opened.
    func allows(_ realPath: String) -> Bool {
        flat.contains(Array(realPath.parentDirectory.utf8))
            || deep.contains { realPath.utf8.starts(with: $0) }
    }

    /// Whether a file in the directory of `path`, which need not exist, might be opened.
    func allows(directoryOf path: String, _ files: some LayerFiles) -> Bool {
        let directory = path.directoryPrefix
        return files.realPath(ofDirectory: directory).map { allows($0.withSlash + "-") } ?? false
    }
}

extension String {
    /// The absolute path's directory; `/` is its own.
    fileprivate var parentDirectory: String {
        guard let slash = utf8.lastIndex(of: UInt8(ascii: "/")), slash != utf8.startIndex else {
            return "/"
        }
        return String(decoding: utf8[..<slash], as: UTF8.self)
    }

    fileprivate var withSlash: String { utf8.last == UInt8(ascii: "/") ? self : self + "/" }

    /// Everything up to the last slash, with it; empty where there is none.
    var directoryPrefix: String {
        guard let slash = utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return String(decoding: utf8[...slash], as: UTF8.self)
    }

    /// What follows the last slash.
    var baseName: String {
        String(decoding: utf8.dropFirst(directoryPrefix.utf8.count), as: UTF8.self)
    }
}
