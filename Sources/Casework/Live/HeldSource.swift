internal import DiskFormats

/// A disk that is only read while it is held.
///
/// Each read asks before it begins and after it has ended; what was read when the hold was over by
/// then is not given to anybody.
struct HeldSource: BlockSource {
    private let base: any BlockSource
    private let gate: HoldGate
    /// What errors call it, such as `disk vda`.
    private let name: String

    init(_ base: any BlockSource, _ gate: HoldGate, name: String) {
        self.base = base
        self.gate = gate
        self.name = name
    }

    var byteCount: UInt64 { base.byteCount }

    func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        guard gate.enter() else { throw ended(offset) }
        do throws(DiskError) { try base.read(into: &buffer, at: offset) } catch {
            // What fails because the hold is over fails for that reason.
            throw gate.leave() ? error : ended(offset)
        }
        guard gate.leave() else {
            // Whatever stands there now is nobody's to use.
            for index in 0..<buffer.byteCount {
                buffer.storeBytes(of: 0, toByteOffset: index, as: UInt8.self)
            }
            throw ended(offset)
        }
    }

    func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        guard gate.enter() else { throw ended(offset) }
        let run: BlockRun
        do throws(DiskError) { run = try base.run(at: offset, limit: limit) } catch {
            throw gate.leave() ? error : ended(offset)
        }
        guard gate.leave() else { throw ended(offset) }
        return run
    }

    private func ended(_ offset: UInt64) -> DiskError {
        let why = gate.ending?.sentence ?? "It was let go of."
        return DiskError(.unreadable, name, at: offset, "the instance is not held any more: \(why)")
    }
}
