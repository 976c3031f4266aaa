/// Why bytes of a disk could not be used: what is wrong, in which structure, and where.
///
/// A damaged disk is ordinary input here, so these errors are values that get collected and
/// reported as often as they are thrown.
public struct DiskError: Error, Equatable, Hashable, Sendable {
    /// The kind of trouble; decides the exit code of a command.
    public enum Reason: String, Sendable {
        /// The operating system failed to deliver the bytes.
        case unreadable
        /// The bytes end before the structure does.
        case truncated
        /// The structure does not begin with its signature.
        case badMagic = "bad-magic"
        /// The structure's checksum does not match its bytes.
        case badChecksum = "bad-checksum"
        /// A field has a value that its format does not allow.
        case outOfRange = "out-of-range"
        /// Two statements of the disk contradict each other, or a structure refers to itself.
        case inconsistent
        /// Valid as far as seen, but uses a feature that this reader does not know.
        case unsupported
        /// Valid, but following it would leave what we were allowed to read.
        case refused
    }

    /// The kind of trouble.
    public let reason: Reason
    /// The structure, as its format's document calls it, such as `ext4 inode 12`.
    public let structure: String
    /// Byte offset, on the disk or volume that was parsed, of the structure or offending field.
    public let offset: UInt64?
    /// What was found, and where it helps, what was expected.
    public let detail: String

    /// Creates an error about `structure` at byte `offset` of what is being parsed.
    public init(_ reason: Reason, _ structure: String, at offset: UInt64? = nil, _ detail: String) {
        self.reason = reason
        self.structure = structure
        self.offset = offset
        self.detail = detail
    }

    /// The same error, seen from outside: named after the enclosing structure, its offset absolute.
    package func within(_ structure: String, at base: UInt64) -> DiskError {
        let name = self.structure.isEmpty ? structure : "\(structure): \(self.structure)"
        return DiskError(reason, name, at: base &+ (offset ?? 0), detail)
    }
}

extension DiskError: CustomStringConvertible {
    /// One sentence: structure, place, and what is wrong with it.
    public var description: String {
        let place = offset.map { " at byte \($0)" } ?? ""
        return "\(structure)\(place): \(detail) (\(reason.rawValue))"
    }
}
