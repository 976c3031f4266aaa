/// Why an archive could not be written.
package enum ArchiveError: Error, Equatable, Sendable {
    /// libarchive is missing or unusable; the text names what to install.
    case unavailable(String)
    /// libarchive refused an entry.
    case refused(path: String, reason: String)
}

extension ArchiveError: CustomStringConvertible {
    /// One sentence that says what to do where something can be done.
    package var description: String {
        switch self {
        case .unavailable(let reason): "No archive can be written: \(reason)."
        case .refused(let path, let reason): "\(path): libarchive refused the entry: \(reason)."
        }
    }
}

/// What an archive says of one file.
package struct ArchiveEntry: Sendable {
    /// What kind of file it is, with what only that kind has.
    package enum Kind: Sendable {
        /// A file of `size` bytes; where `dataRanges` is given, the rest of it is holes.
        case file(size: UInt64, dataRanges: [Range<UInt64>]?)
        /// A directory.
        case directory
        /// A symbolic link.
        case symbolicLink(target: [UInt8])
        /// Another name of the file that an earlier entry holds under `path`.
        case hardLink(path: [UInt8])
        /// A device, as a record without content.
        case device(isBlock: Bool, major: UInt32, minor: UInt32)
        /// A named pipe, as a record.
        case fifo
    }

    /// A named value; ACLs in the form that Linux' getxattr gives are stored as ACLs.
    package typealias Attribute = (name: [UInt8], value: [UInt8])

    /// The path in the archive: bytes, without NUL.
    package var path: [UInt8]
    /// What kind of file it is.
    package var kind: Kind
    /// Permission bits with setuid, setgid and sticky.
    package var permissions: UInt16
    /// The owner.
    package var user: UInt32
    /// The owning group.
    package var group: UInt32
    /// Time of last change: seconds since the epoch, and nanoseconds after them.
    package var modified: (seconds: Int64, nanoseconds: UInt32)
    /// Extended attributes.
    package var attributes: [Attribute]

    /// Creates an entry.
    package init(
        path: [UInt8],
        kind: Kind,
        permissions: UInt16,
        user: UInt32 = 0,
        group: UInt32 = 0,
        modified: (seconds: Int64, nanoseconds: UInt32) = (0, 0),
        attributes: [Attribute] = []
    ) {
        self.path = path
        self.kind = kind
        self.permissions = permissions
        self.user = user
        self.group = group
        self.modified = modified
        self.attributes = attributes
    }
}
