internal import Linux

/// Who makes a bag, and on whose word.
package struct BagContext: Sendable {
    /// The approval; nil where none was needed.
    package var authority: BagAuthority?
    /// Why, where there is no approval.
    package var reason: String?
    /// What was asked for, as it was written.
    package var paths: [String]
    /// What the guest mounts there but is not at hand, a sentence each.
    package var notMounted: [String]
    /// Whether the guest's own files are among that.
    package var lacksMount: Bool
    /// The program with its version.
    package var program: String
    /// This machine.
    package var host: String
    /// The head of the host's audit log once this run stands in it.
    package var audit: AuditRecord?
    /// The hold under which it is read; nil for what is at rest by itself.
    package var hold: BagHold?

    package init(
        paths: [String],
        program: String,
        notMounted: [String] = [],
        lacksMount: Bool = false,
        authority: BagAuthority? = nil,
        reason: String? = nil,
        audit: AuditRecord? = nil,
        hold: BagHold? = nil
    ) {
        self.paths = paths
        self.program = program
        self.notMounted = notMounted
        self.lacksMount = lacksMount
        self.authority = authority
        self.reason = reason
        self.audit = audit
        self.hold = hold
        self.host = hostName()
    }
}
