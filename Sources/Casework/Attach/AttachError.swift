package import DiskFormats
package import Linux

/// Why a disk could not be attached: what kind of reason, which file, and what to do.
package struct AttachError: Error, Equatable, Sendable {
    /// The kind of reason; each has its exit code.
    package enum Kind: String, Sendable {
        /// The request itself makes no sense.
        case usage
        /// Following the disk would leave what may be read.
        case refused
        /// A file of the chain does not exist.
        case notFound
        /// A file is damaged, cannot be read, or uses what this reader does not know.
        case damaged
        /// Somebody writes to the disk.
        case inUse
    }

    /// The kind of reason.
    package let kind: Kind
    /// The file it is about.
    package let path: String
    /// What happened and what to do, without the file's name.
    package let message: String

    /// Creates an error about `path`.
    package init(_ kind: Kind, _ path: String, _ message: String) {
        self.kind = kind
        self.path = path
        self.message = message
    }

    /// What a layer's content was found to be.
    package init(_ error: DiskError, in path: String) {
        self.init(error.reason == .refused ? .refused : .damaged, path, "\(error)")
    }

    /// What the system said when `error.path` was opened.
    package init(_ error: SystemError) {
        let missing = ["ENOENT", "ENOTDIR"].contains(error.name)
        let reason = "\(error.reason) (\(error.call): \(error.name))"
        self.init(missing ? .notFound : .damaged, error.path, reason)
    }

    /// The exit code of a command that ends for this reason.
    package var exitCode: Int32 {
        switch kind {
        case .usage: 2
        case .refused: 3
        case .notFound: 4
        case .damaged: 5
        case .inUse: 6
        }
    }
}

extension AttachError: CustomStringConvertible {
    /// The file and the message.
    package var description: String { "\(path): \(message)" }
}
