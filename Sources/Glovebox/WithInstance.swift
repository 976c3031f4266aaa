public import Casework
internal import Linux

/// Opens `target` for the time that `body` takes, and lets go of it whatever happens.
///
/// An instance that runs is held from the first read of its disks until `body` has ended, or the task
/// is cancelled, by which its reads fail at once. What blocks is kept off Swift's own threads, but for
/// what `body` itself does.
///
/// An error of `body` is thrown as it is. What goes wrong with letting go, or where the instance was
/// not held until all was read, is told to ``Instance/Options/onUnwindingError``, and thrown where
/// `body` has succeeded: its result then is not to be relied on.
///
/// ```swift
/// let hosts = try await withInstance("domain:instance-0000002a", for: .read) { instance in
///     let file = try instance.file("/etc/hosts")
///     return try file.fileSystem.content(of: file.inode, limit: 65_536)
/// }
/// ```
public func withInstance<Result>(
    _ target: String,
    for purpose: Purpose,
    options: Instance.Options = Instance.Options(),
    _ body: (Instance) async throws -> Result
) async throws -> Result {
    try Task.checkCancellation()
    let instance = try await offPool { () throws(GloveboxError) in
        try Instance(at: target, for: purpose, options: options)
    }
    let result: Result
    do {
        result = try await withTaskCancellationHandler {
            try await body(instance)
        } onCancel: {
            // What is under way is waited for, which is nothing for the thread that cancels.
            _ = WorkerThread { instance.release() }
        }
    } catch {
        if let problem = await unwound(instance) { options.onUnwindingError?(problem) }
        throw error
    }
    if let problem = await unwound(instance) {
        options.onUnwindingError?(problem)
        throw problem
    }
    return result
}

/// Lets go of `instance`, and says what went wrong with that.
private func unwound(_ instance: Instance) async -> GloveboxError? {
    try? await offPool { () throws(GloveboxError) in instance.release()?.problem }
}

/// Runs `body`, which blocks, on a thread of its own.
private func offPool<Value: Sendable>(
    _ body: @escaping @Sendable () throws(GloveboxError) -> Value
) async throws(GloveboxError) -> Value {
    let outcome: Result<Value, GloveboxError> = await withCheckedContinuation { continuation in
        _ = WorkerThread {
            do throws(GloveboxError) {
                continuation.resume(returning: .success(try body()))
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
    }
    return try outcome.get()
}
