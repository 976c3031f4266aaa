internal import DiskFormats
internal import Linux

/// One conversation with a server, for one request at a time.
///
/// Every request ends within its time-out. After an error that ends the conversation nothing more
/// may be asked. Layout and constants: doc/proto.md, "Transmission phase"
/// (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md).
struct Connection: Sendable {
    /// The requests that there are here: none of them changes anything.
    private enum Command: UInt16 {
        case read = 0
        case disconnect = 2
        case blockStatus = 7
    }

    private static let requestMagic: UInt32 = 0x2560_9513
    /// NBD_CMD_FLAG_REQ_ONE.
    private static let oneExtent: UInt16 = 1 << 3

    /// What the server said in the handshake.
    let facts: ExportFacts
    private let descriptor: FileDescriptor
    private let timeoutSeconds: Double
    private let allocationContext: UInt32?
    private var cookie: UInt64 = 0

    /// Connects to `export` at a Unix socket; done within `connectSeconds` or not at all.
    init(
        socket path: String,
        export: String,
        connectSeconds: Double,
        timeoutSeconds: Double
    ) throws(ConversationError) {
        let end = deadline(inSeconds: connectSeconds)
        let descriptor: FileDescriptor
        do throws(SystemError) {
            descriptor = try .connected(to: path, deadline: end)
        } catch {
            throw ConversationError(error, during: "connecting")
        }
        try self.init(
            descriptor,
            export: export,
            deadline: end,
            timeoutSeconds: timeoutSeconds
        )
    }

    /// Takes over a connected socket, and agrees with the server before `deadline`.
    init(
        _ descriptor: FileDescriptor,
        export: String,
        deadline: UInt64,
        timeoutSeconds: Double
    ) throws(ConversationError) {
        let wire = Wire(descriptor: descriptor, deadline: deadline, purpose: "the handshake")
        let outcome = try Handshake.perform(on: wire, export: export)
        facts = outcome.facts
        allocationContext = outcome.allocationContext
        self.descriptor = descriptor
        self.timeoutSeconds = timeoutSeconds
    }

    /// Fills `buffer` with the bytes at `offset`, all of which are the server's where this does not
    /// throw; both ends must be aligned and the length be one that the server takes.
    mutating func read(
        into buffer: inout MutableRawSpan,
        at offset: UInt64
    ) throws(ConversationError) {
        let count = UInt64(buffer.byteCount)
        let wire = try ask(.read, offset, UInt32(clamping: count), "a read")
        var assembly = ReadAssembly(request: offset..<(offset + count))
        while true {
            switch try Reply.next(on: wire, cookie: cookie, facts) {
            case .simple(let error):
                guard error == 0 else { throw Reply.declined(error, "") }
                guard !facts.hasStructuredReplies else {
                    throw .violation("the server sends a read in the form that was not agreed on")
                }
                return try wire.receive(into: &buffer)
            case .chunk(let chunk):
                if let range = try assembly.take(chunk, on: wire, facts) {
                    let start = Int(range.lowerBound - offset)
                    var part = buffer._mutatingExtracting(start..<(start + range.count))
                    if chunk.type == Reply.data {
                        try wire.receive(into: &part)
                    } else {
                        part.zero(part.byteCount, at: 0)
                    }
                }
                guard chunk.isLast else { continue }
                return try assembly.finish()
            }
        }
    }

    /// The first extent of `base:allocation` at `offset`: its length, at least 1, and whether its
    /// bytes are zeros.
    mutating func extent(
        at offset: UInt64,
        count: UInt32
    ) throws(ConversationError) -> (length: UInt32, readsAsZeros: Bool) {
        let wire = try ask(.blockStatus, offset, count, "a block status", flags: Self.oneExtent)
        var assembly = StatusAssembly(context: allocationContext)
        while true {
            switch try Reply.next(on: wire, cookie: cookie, facts) {
            case .simple(let error):
                guard error != 0 else { throw .violation("the server gives no block status") }
                throw Reply.declined(error, "")
            case .chunk(let chunk):
                try assembly.take(chunk, on: wire)
                if chunk.isLast { return try assembly.finish() }
            }
        }
    }

    /// Tells the server that nothing more will be asked; waits for nothing.
    mutating func disconnect() { _ = try? ask(.disconnect, 0, 0, "the end", timeoutSeconds: 0) }

    /// C: 32 bits magic, 16 bits flags, 16 bits type, 64 bits cookie, 64 bits offset, 32 bits length.
    private mutating func ask(
        _ command: Command,
        _ offset: UInt64,
        _ count: UInt32,
        _ purpose: String,
        flags: UInt16 = 0,
        timeoutSeconds: Double? = nil
    ) throws(ConversationError) -> Wire {
        cookie &+= 1
        var request: [UInt8] = []
        request.reserveCapacity(28)
        request.append(be: Self.requestMagic)
        request.append(be: flags)
        request.append(be: command.rawValue)
        request.append(be: cookie)
        request.append(be: offset)
        request.append(be: count)
        let end = deadline(inSeconds: timeoutSeconds ?? self.timeoutSeconds)
        let wire = Wire(descriptor: descriptor, deadline: end, purpose: purpose)
        try wire.send(request)
        return wire
    }
}
