public import Casework

extension Instance {
    /// How what is read belongs together; before anything is read of a domain, as it is planned.
    public var consistency: Consistency { live?.consistency ?? .offline }

    /// What a user ought to know of the domain and the disks that it has, a sentence each.
    package var warningsOfDomain: [String] { live?.warnings ?? [] }

    /// The domain's own uuid, whether it is an instance of Nova or not; nil where the target is a path.
    package var domainID: String? { live?.target.domain?.uuid }

    /// The hold; nil where the domain is not held yet, or never is.
    package var hold: Hold? { live?.hold }

    /// Lets go of the domain and says what became of the hold; nil where there was none.
    ///
    /// Nothing may be read after that, and nothing is: reads fail. The same report ever after. Blocks
    /// until the domain runs again, or for half a minute where libvirt does not answer.
    @discardableResult
    public func release() -> HoldReport? { live?.release() }
}
