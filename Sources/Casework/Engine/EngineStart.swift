internal import Linux

/// Where commands get what starts the engine.
package enum EngineStart {
    /// What starts the engine; nil where it is not installed and `isNeeded` is false.
    package static func launcher(
        path: String?,
        isNeeded: Bool
    ) throws(GloveboxError) -> (any EngineLauncher)? {
        guard isNeeded || path != nil else { return nil }
        throw GloveboxError(.unreadable, "This build of glovebox has no engine.")
    }
}
