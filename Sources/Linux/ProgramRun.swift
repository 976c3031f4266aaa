internal import Glibc

/// A program that was run to its end.
package struct ProgramRun: Sendable {
    /// How it ended.
    package let ending: ChildProcess.Ending
    /// What it wrote to standard output.
    package let output: [UInt8]
    /// What it wrote to standard error.
    package let messages: [UInt8]

    /// Runs a program to its end and keeps what it says.
    ///
    /// Its standard input comes from `input`; standard error goes to this process's own where
    /// `isInteractive`, so that it can ask somebody. It is killed where it takes longer than `seconds`
    /// or says more than `limit` bytes, which throws ETIMEDOUT or EFBIG.
    package init(
        _ plan: ChildProcess.Plan,
        input: [UInt8] = [],
        isInteractive: Bool = false,
        limit: Int = 1 << 20,
        seconds: Double = 60
    ) throws(SystemError) {
        var plan = plan
        let (output, outputEnd) = try FileDescriptor.pipe()
        let (messages, messagesEnd) = try FileDescriptor.pipe()
        plan.descriptors[0] = try FileDescriptor.inMemory("input", input)
        plan.descriptors[1] = outputEnd
        plan.descriptors[2] = isInteractive ? try .standardError() : messagesEnd
        let child = try ChildProcess(plan)
        try outputEnd.close()
        try messagesEnd.close()
        var streams = [
            Stream(descriptor: output, limit: limit), Stream(descriptor: messages, limit: limit),
        ]
        let end = deadline(inSeconds: seconds)
        do throws(SystemError) {
            while streams.contains(where: \.isOpen) {
                try Self.read(&streams, until: end, plan.program)
            }
            guard child.waitUntilEnded(deadline: end) else {
                throw SystemError(call: "waitid", path: plan.program, errno: ETIMEDOUT)
            }
        } catch {
            child.kill()
            _ = child.waitUntilEnded(deadline: nil)
            _ = child.ending()
            throw error
        }
        self.ending = child.ending() ?? .unknown
        self.output = streams[0].bytes
        self.messages = streams[1].bytes
    }

    /// Whether it ended with code 0.
    package var succeeded: Bool { ending == .exited(0) }

    private static func read(
        _ streams: inout [Stream],
        until end: UInt64,
        _ program: String
    ) throws(SystemError) {
        let open = streams.indices.filter { streams[$0].isOpen }
        let ready = try waitForAny(
            of: open.map { (streams[$0].descriptor.number, .readable) },
            deadline: end
        )
        guard ready.contains(where: { !$0.isEmpty }) else {
            throw SystemError(call: "poll", path: program, errno: ETIMEDOUT)
        }
        for (index, readiness) in zip(open, ready) where !readiness.isEmpty {
            try streams[index].readOnce(program)
        }
    }
}

private struct Stream {
    let descriptor: FileDescriptor
    let limit: Int
    var bytes: [UInt8] = []
    var isOpen = true

    mutating func readOnce(_ program: String) throws(SystemError) {
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        let count = retrying {
            unsafe piece.withUnsafeMutableBytes {
                unsafe Glibc.read(descriptor.number, $0.baseAddress, $0.count)
            }
        }
        guard count >= 0 else { throw .last("read", program) }
        isOpen = count > 0
        bytes += piece[..<count]
        guard bytes.count <= limit else {
            throw SystemError(call: "read", path: program, errno: EFBIG)
        }
    }
}
