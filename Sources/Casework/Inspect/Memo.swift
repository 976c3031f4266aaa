internal import Synchronization

/// What was made when it was first asked for, or why it could not be made; the same ever after.
package final class Memo<Value: Sendable>: Sendable {
    // Not `Result`: its generic arguments cost the runtime a look through every conformance.
    private enum Outcome: Sendable {
        case value(Value)
        case failure(GloveboxError)
    }

    private let outcome = Mutex<Outcome?>(nil)

    package init() {}

    /// The value if it has been made; does not make it.
    package var made: Value? {
        outcome.withLock { if case .value(let value) = $0 { value } else { nil } }
    }

    /// The value, made by `make` at the first call; others wait meanwhile.
    package func get(_ make: () throws(GloveboxError) -> Value) throws(GloveboxError) -> Value {
        let outcome = outcome.withLock { known in
            if let known { return known }
            let fresh: Outcome
            do throws(GloveboxError) { fresh = .value(try make()) } catch {
                fresh = .failure(error)
            }
            known = fresh
            return fresh
        }
        switch outcome {
        case .value(let value): return value
        case .failure(let error): throw error
        }
    }
}
