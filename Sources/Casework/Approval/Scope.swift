/// What of a target an approval is about: patterns, of which one has to cover a path.
package struct Scope: Equatable, Sendable {
    /// The patterns, in the order of the document.
    package let patterns: [ScopePattern]

    /// A scope of these patterns.
    package init(patterns: [ScopePattern]) { self.patterns = patterns }

    /// Whether a file is inside.
    ///
    /// `path` is its path in the volume's own tree, nil where that is not known; `guestPath` the one
    /// in the guest's own tree, nil where the file was named by its volume. Both have links and `..`
    /// resolved; one that has `..` all the same is outside.
    package func covers(
        volume: GuestPath.VolumeName,
        path: [UInt8]?,
        guestPath: [UInt8]?
    ) -> Bool {
        let inVolume = path.flatMap(Self.components)
        let inTree = guestPath.flatMap(Self.components)
        return patterns.contains { pattern in
            if pattern.isOfGuestTree { return inTree.map(pattern.covers) ?? false }
            return pattern.names(volume) && (inVolume.map(pattern.covers) ?? false)
        }
    }

    private static func components(_ path: [UInt8]) -> [ArraySlice<UInt8>]? {
        guard path.first == UInt8(ascii: "/") else { return nil }
        let components = path.split(separator: UInt8(ascii: "/"))
            .filter { !$0.elementsEqual(".".utf8) }
        return components.contains { $0.elementsEqual("..".utf8) } ? nil : components
    }
}
