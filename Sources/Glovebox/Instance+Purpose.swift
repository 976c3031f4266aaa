extension Instance {
    /// Throws `refused` where the approval by which it was opened does not allow `purpose`.
    ///
    /// For programs that open an instance once and do several things with it.
    public func require(_ purpose: Purpose) throws(GloveboxError) {
        guard let approval, !approval.actions.contains(purpose) else { return }
        let actions = approval.actions.map(\.rawValue).joined(separator: ", ")
        throw GloveboxError(
            .refused,
            "Approval \(approval.id) allows \(actions), but not \(purpose.rawValue).",
            advice: "Ask for an approval whose actions have \(purpose.rawValue)."
        )
    }
}
