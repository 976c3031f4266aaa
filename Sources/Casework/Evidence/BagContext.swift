package import Digests
package import DiskFormats
internal import Linux

/// Who makes a bag, and on whose word.
package struct BagContext: Sendable {
    /// The approval; nil where none was needed.
    package var authority: BagAuthority?
    /// Why, where there is no approval.
    package var reason: String?
    /// What was asked for, as it was written.
    package var paths: [String]
    /// The program with its version.
    package var program: String
    /// This machine.
    package var host: String
    /// The head of the host's audit log once this run stands in it.
    package var audit: (sequence: UInt64, digest: Digest)?

    package init(
        paths: [String],
        program: String,
        authority: BagAuthority? = nil,
        reason: String? = nil,
        audit: (sequence: UInt64, digest: Digest)? = nil
    ) {
        self.paths = paths
        self.program = program
        self.authority = authority
        self.reason = reason
        self.audit = audit
        self.host = hostName()
    }
}

extension Timestamp {
    /// This moment.
    package static var now: Timestamp {
        let (seconds, nanoseconds) = wallClock()
        return Timestamp(seconds: seconds, nanoseconds: nanoseconds)
    }
}
