internal import Linux

/// A process of the guardian's, with the last of what it says on its standard error.
struct Helper {
    private let process: ChildProcess
    private var errors: FileDescriptor?
    private var said: [UInt8] = []
    private var hasEnded = false

    private static let saidMax = 4_096

    /// Starts a process that dies with this thread.
    init(
        _ program: String,
        _ arguments: [String],
        environment: [String],
        descriptors: [CInt: FileDescriptor]
    ) throws(SystemError) {
        let pipe = try FileDescriptor.pipe()
        var plan = ChildProcess.Plan(
            program: program,
            arguments: arguments,
            environment: environment,
            descriptors: descriptors
        )
        plan.descriptors[2] = pipe.writing
        plan.diesWithThread = true
        process = try ChildProcess(plan)
        errors = pipe.reading
    }

    /// What becomes readable when there is something to look at.
    var awaited: [CInt] {
        (hasEnded ? [] : [process.descriptor.number]) + [errors?.number].compactMap(\.self)
    }

    /// Takes in what it says; how it ended, where it has since the last look, as the rest of a
    /// sentence.
    mutating func look() -> String? {
        listen()
        guard !hasEnded, let ending = process.ending() else { return nil }
        hasEnded = true
        listen()
        let text = String(decoding: said, as: UTF8.self).split(separator: "\n").suffix(3)
            .joined(separator: " ")
        return text.isEmpty ? "\(ending)." : "\(ending): \(text)"
    }

    /// Looks until it has ended, for a moment.
    mutating func lookAgain(within seconds: Double) -> String? {
        _ = process.waitUntilEnded(deadline: deadline(inSeconds: seconds))
        return look()
    }

    private mutating func listen() {
        while let errors, isReadable(errors) {
            guard let piece = try? errors.readSome(4_096), !piece.isEmpty else {
                self.errors = nil
                return
            }
            // Printable ASCII alone: it can hold what a disk says.
            said += piece.map { $0 == 0x0A || (0x20..<0x7F).contains($0) ? $0 : 0x3F }
            said.removeFirst(max(0, said.count - Self.saidMax))
        }
    }

    private func isReadable(_ file: FileDescriptor) -> Bool {
        let ready = try? waitForAny(of: [(file.number, .readable)], deadline: 0)
        return ready?.first?.isEmpty == false
    }
}
