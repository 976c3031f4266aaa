internal import Custody
internal import Linux

/// The files of an audit log, the oldest first: those that were rotated away and are still here, and
/// the one that is written to.
struct AuditSegments {
    /// One file, as long as it was when it was opened.
    struct Segment {
        /// What it is called.
        let name: String
        /// The file.
        let descriptor: FileDescriptor
        /// How much of it is looked at.
        let size: UInt64
    }

    /// The files; the last one is `audit.jsonl`, if it is there.
    let segments: [Segment]

    private static let prefix = "audit-"
    private static let suffix = ".jsonl"

    /// What a log with these lines is called once it is rotated away.
    static func name(from first: UInt64, to last: UInt64) -> String {
        "\(prefix)\(first)-\(last)\(suffix)"
    }

    /// Opens the log in `path`.
    ///
    /// No writer is in the middle of a line then; none is kept from going on afterwards.
    init(in path: String) throws(GloveboxError) {
        let directory: FileDescriptor
        do throws(SystemError) { directory = try .openDirectory(path) } catch {
            throw Self.unreadable(error)
        }
        var found: [Segment] = []
        var seen: Set<FileStatus.Identity> = []
        do throws(SystemError) {
            let old = try directoryNames(path).compactMap(Self.range).sorted { $0.last < $1.last }
            for name in old.map(\.name) + [AuditLog.fileName] {
                let file: FileDescriptor
                do throws(SystemError) { file = try directory.openFile(name) } catch {
                    guard error.name == "ENOENT" else { throw error }
                    continue
                }
                guard try file.status().kind == .regular else {
                    throw SystemError(call: "open", path: file.path, errno: Self.notSuitable)
                }
                try file.lock(.shared)
                let status = try file.status()
                try file.unlock()
                // A rotation that was interrupted leaves the log with two names.
                guard seen.insert(status.identity).inserted else { continue }
                found.append(Segment(name: name, descriptor: file, size: status.size))
            }
        } catch {
            throw Self.unreadable(error)
        }
        guard !found.isEmpty else {
            throw GloveboxError(
                .unreadable,
                "There is no audit log in \(path).",
                advice: "It is made when guest data is first read; --state-dir names another place."
            )
        }
        segments = found
    }

    /// EINVAL.
    private static let notSuitable: Int32 = 22

    private static func unreadable(_ error: SystemError) -> GloveboxError {
        GloveboxError(
            .unreadable,
            "The audit log cannot be read: \(error).",
            advice: "--state-dir says where it is."
        )
    }

    private static func range(_ name: String) -> (name: String, last: UInt64)? {
        guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return nil }
        let numbers = name.dropFirst(prefix.count).dropLast(suffix.count).split(separator: "-")
        guard numbers.count == 2, let first = UInt64(numbers[0]), let last = UInt64(numbers[1]),
            Self.name(from: first, to: last) == name
        else { return nil }
        return (name, last)
    }
}

/// The lines of a file, one after the other.
struct LineReader {
    /// Where the next line begins.
    private(set) var offset: UInt64 = 0
    private let file: FileDescriptor
    private let size: UInt64
    private var piece: [UInt8] = []
    private var position = 0

    private static let pieceBytes: UInt64 = 256 << 10

    /// Reads the first `size` bytes of `file`.
    init(_ file: FileDescriptor, size: UInt64) {
        self.file = file
        self.size = size
    }

    /// What comes next.
    enum Next: Equatable {
        /// A line, without its newline.
        case line([UInt8])
        /// So many bytes without a newline, more than a line may have or at the end of the file.
        case unfinished(Int)
    }

    /// The next line; nil at the end.
    mutating func next() throws(SystemError) -> Next? {
        var line: [UInt8] = []
        while true {
            if position == piece.count {
                let start = offset + UInt64(line.count)
                piece = try file.bytes(in: start..<min(size, start + Self.pieceBytes))
                position = 0
                if piece.isEmpty { return line.isEmpty ? nil : .unfinished(line.count) }
            }
            let rest = piece[position...]
            let end = rest.firstIndex(of: UInt8(ascii: "\n"))
            line += rest[..<(end ?? rest.endIndex)]
            position = end.map { $0 + 1 } ?? piece.count
            guard line.count <= HashChain.lineBytesMax else { return .unfinished(line.count) }
            guard end != nil else { continue }
            offset += UInt64(line.count) + 1
            return .line(line)
        }
    }
}
