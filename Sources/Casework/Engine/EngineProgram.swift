internal import Linux

/// Finds the program that the engine is.
package enum EngineProgram {
    /// What starts the engine; nil where it is not installed and `isNeeded` is false.
    package static func launcher(
        path: String?,
        isNeeded: Bool
    ) throws(GloveboxError) -> (any EngineLauncher)? {
        guard isNeeded || path != nil else { return nil }
        throw GloveboxError(.unreadable, "This build of glovebox has no engine.")
    }
}
