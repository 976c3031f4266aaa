internal import DiskFormats

/// Keeps the lookups in one tree within the scope of an approval.
package struct ScopeLimit: Sendable {
    /// What may be looked at.
    let scope: Scope
    /// What the approval is called in messages.
    let name: String
    /// Whether the tree is the guest's own, rather than one volume's.
    let isOfGuestTree: Bool

    /// Whether the file at `path` of the tree, which is on `mount`, is inside.
    func covers(_ mount: GuestTree.Mount, _ path: [UInt8]) -> Bool {
        guard isOfGuestTree else {
            return scope.covers(volume: mount.volume, path: path, guestPath: nil)
        }
        let inVolume = mount.pathInVolume(path)
        return scope.covers(volume: mount.volume, path: inVolume, guestPath: path)
    }

    /// Refuses what `path` leads to; where that is, is not said.
    ///
    /// `isWithin` where it would be inside but for links or `..` on the way.
    func refusal(of path: [UInt8], on mount: GuestTree.Mount, isWithin: Bool) -> GloveboxError {
        let place = (isOfGuestTree ? "" : "\(mount.volume):") + GuestName.escaped(path)
        let covered = scope.patterns.map(\.text)
        return GloveboxError(
            .refused,
            isWithin
                ? "\(place) leads outside the scope of approval \(name), by a symbolic link or `..`."
                : "\(place) is outside the scope of approval \(name).",
            advice: "It covers \(covered.joined(separator: ", "))"
                + (isOfGuestTree || scope.patterns.contains { !$0.isOfGuestTree }
                    ? "." : ", which are paths in the guest's own tree: leave DISK:VOLUME: out.")
        )
    }
}
