package import ArchiveFile
package import Digests
package import DiskFormats
package import Linux

/// What an extraction took out, and what it did not.
package struct ExtractionReport: Sendable {
    /// Why something was left out or changed although nothing is damaged.
    package enum Reason: String, Sendable {
        case device, fifo, socket
        case encrypted, verity
        /// Setuid, setgid or sticky was taken from a file; the file itself is there.
        case specialBits = "setuid, setgid or sticky bit removed"
        /// Some extended attributes were left out; the file itself is there.
        case attributes = "extended attributes left out"
        case exists = "the destination has this name already"
        case invalidName = "not a name that can be created"
        case bytesLimit = "limit of total bytes"
        case filesLimit = "limit of files"

        /// Whether content is missing because of it.
        var losesContent: Bool {
            switch self {
            case .encrypted, .verity, .exists, .invalidName, .bytesLimit, .filesLimit: true
            case .device, .fifo, .socket, .specialBits, .attributes: false
            }
        }
    }

    /// What went wrong.
    package enum Failure: Error, Equatable, Sendable {
        case disk(DiskError)
        case system(SystemError)
        case archive(ArchiveError)
        /// More directories and links than may be held until they are finished.
        case tooManyHeld
    }

    /// Something that was left out on purpose.
    package struct Skipped: Equatable, Sendable {
        /// The path as the guest knows it.
        package let path: [UInt8]
        /// Why.
        package let reason: Reason
    }

    /// Something that could not be read or written.
    package struct Problem: Equatable, Sendable {
        /// The path as the guest knows it.
        package let path: [UInt8]
        /// What went wrong.
        package let failure: Failure
        /// The bytes of the file that are missing; nil where it concerns the file as a whole.
        ///
        /// They are a hole in what was written; only where a long file turns out to be unreadable
        /// after its map has gone into an archive, they are zeros there.
        package let range: Range<UInt64>?
    }

    /// How it ended.
    package enum Ending: Equatable, Sendable {
        /// Everything was visited.
        case finished
        /// The caller cancelled it.
        case cancelled
        /// Whoever read the output went away.
        case outputClosed
        /// The destination failed, such as a full disk.
        case failed(Failure)
        /// A limit ended the walk.
        case limited
    }

    /// Files that are written, hard links included.
    package var files = 0
    /// Directories that are written.
    package var directories = 0
    /// Symbolic links, and in archives devices and FIFOs.
    package var other = 0
    /// Content in bytes, holes not counted.
    package var bytes: UInt64 = 0
    /// What was left out on purpose, at most ``notesMax``.
    package var skipped: [Skipped] = []
    /// What could not be read or written, at most ``notesMax``.
    package var problems: [Problem] = []
    /// Files that are written with ranges missing.
    package var partial: [[UInt8]] = []
    /// How many notes the lists above had no room for.
    package var omittedNotes = 0
    /// How it ended.
    package var ending = Ending.finished
    /// Digest and length of the archive, where it was observed.
    package var archive: (digest: Digest, byteCount: UInt64)?
    /// How many notes each list holds.
    var notesMax = Self.notesMax
    private var lost = false
    private var notedBytes = 0

    static let notesMax = 100_000
    /// How long the paths in all notes may be together, in bytes.
    static let notedBytesMax = 64 << 20

    init() {}

    /// Whether all content that was asked for is there.
    package var isComplete: Bool { ending == .finished && problems.isEmpty && !lost }
}

/// A remark on the way to the report.
enum Note: Sendable {
    case skipped([UInt8], ExtractionReport.Reason)
    case problem([UInt8], ExtractionReport.Failure, Range<UInt64>?)
    case partial([UInt8])
}

extension ExtractionReport {
    mutating func add(_ note: Note) {
        switch note {
        case .skipped(let path, let reason):
            lost = lost || reason.losesContent
            guard skipped.count < notesMax, holds(path) else { return omittedNotes += 1 }
            skipped.append(Skipped(path: path, reason: reason))
        case .problem(let path, let failure, let range):
            if let last = problems.last, let joined = last.joined(path, range) {
                return problems[problems.count - 1] = joined
            }
            lost = true
            guard problems.count < notesMax, holds(path) else { return omittedNotes += 1 }
            problems.append(Problem(path: path, failure: failure, range: range))
        case .partial(let path):
            guard partial.last != path else { return }
            guard partial.count < notesMax, holds(path) else { return omittedNotes += 1 }
            partial.append(path)
        }
    }

    /// Counts the path of a note; false where there is no room for it.
    private mutating func holds(_ path: [UInt8]) -> Bool {
        guard notedBytes + path.count <= Self.notedBytesMax else { return false }
        notedBytes += path.count
        return true
    }
}

extension ExtractionReport.Problem {
    /// One problem of this range and the one that follows in the same file, where they touch.
    fileprivate func joined(_ path: [UInt8], _ next: Range<UInt64>?) -> Self? {
        guard let range, let next, range.upperBound == next.lowerBound, path == self.path else {
            return nil
        }
        return Self(path: path, failure: failure, range: range.lowerBound..<next.upperBound)
    }
}

extension ExtractionReport.Failure: CustomStringConvertible {
    /// The sentence of what went wrong.
    package var description: String {
        switch self {
        case .disk(let error): error.description
        case .system(let error): error.description
        case .archive(let error): error.description
        case .tooManyHeld:
            "There are more directories and symbolic links than can be held in memory until they are "
                + "finished, as a directory needs them to be. Use --to-tar, which holds none of "
                + "them, or extract fewer paths at a time."
        }
    }
}
