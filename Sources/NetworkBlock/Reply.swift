/// The next part of the answer to a request.
///
/// Layout: doc/proto.md, "Simple reply message", "Structured reply chunk message" and "Structured
/// reply types".
enum Reply {
    /// A reply that has no chunks; its error number, and the bytes still to come where it is 0.
    case simple(error: UInt32)
    /// The head of a chunk, whose payload is still to come.
    case chunk(Chunk)

    /// A chunk's type, and how many bytes of payload it has.
    struct Chunk {
        let type: UInt16
        let byteCount: UInt32
        /// NBD_REPLY_FLAG_DONE.
        let isLast: Bool
        var isError: Bool { type & 1 << 15 != 0 }
    }

    /// NBD_REPLY_TYPE_NONE.
    static let none: UInt16 = 0
    /// NBD_REPLY_TYPE_OFFSET_DATA.
    static let data: UInt16 = 1
    /// NBD_REPLY_TYPE_OFFSET_HOLE.
    static let hole: UInt16 = 2
    /// NBD_REPLY_TYPE_BLOCK_STATUS.
    static let blockStatus: UInt16 = 5

    private static let simpleMagic: UInt32 = 0x6744_6698
    private static let structuredMagic: UInt32 = 0x668E_33EF
    /// A text of 4,096 bytes at most, and a few numbers.
    private static let errorBytesMax: UInt32 = 4_096 + 64

    /// The next part, which must be of the answer to the request with `cookie`.
    static func next(
        on wire: Wire,
        cookie: UInt64,
        _ facts: ExportFacts
    ) throws(ConversationError) -> Reply {
        var head = try wire.receive(count: 16)
        switch try head.take(UInt32.self) {
        case simpleMagic:
            let error = try head.take(UInt32.self)
            try check(try head.take(UInt64.self), cookie)
            return .simple(error: error)
        case structuredMagic where facts.hasStructuredReplies:
            let flags = try head.take(UInt16.self)
            let type = try head.take(UInt16.self)
            try check(try head.take(UInt64.self), cookie)
            var tail = try wire.receive(count: 4)
            let byteCount = try tail.take(UInt32.self)
            return .chunk(Chunk(type: type, byteCount: byteCount, isLast: flags & 1 != 0))
        default:
            throw .violation("what the server sends is no reply")
        }
    }

    private static func check(_ found: UInt64, _ expected: UInt64) throws(ConversationError) {
        guard found == expected else {
            throw .violation("the server answers what was not asked")
        }
    }

    /// Receives an error chunk: 32 bits error, 16 bits length of a text, the text, and more.
    static func error(
        in chunk: Chunk,
        on wire: Wire
    ) throws(ConversationError) -> ConversationError {
        guard chunk.byteCount >= 6, chunk.byteCount <= errorBytesMax else {
            throw .violation("the server sends an error of \(chunk.byteCount) bytes")
        }
        var payload = try wire.receive(count: Int(chunk.byteCount))
        let number = try payload.take(UInt32.self)
        let text = try payload.takeText(count: Int(try payload.take(UInt16.self)))
        guard number != 0 else { throw .violation("the server sends an error that is none") }
        return declined(number, text)
    }

    /// What an error number says (doc/proto.md, "Error values").
    static func declined(_ number: UInt32, _ text: String) -> ConversationError {
        let name =
            switch number {
            case 1: "EPERM"
            case 5: "EIO"
            case 12: "ENOMEM"
            case 22: "EINVAL"
            case 28: "ENOSPC"
            case 75: "EOVERFLOW"
            case 95: "ENOTSUP"
            case 108: "ESHUTDOWN"
            default: "error \(number)"
            }
        return .declined("the server reports \(name)\(text.isEmpty ? "" : ": \(text)")")
    }
}

/// Puts together the chunks of a read's reply, and finds out where they are not what they must be.
struct ReadAssembly {
    private static let errorsMax = 64
    let request: Range<UInt64>
    private var covered = CoveredRanges()
    private var firstError: ConversationError?
    private var errorCount = 0

    init(request: Range<UInt64>) { self.request = request }

    /// Takes a chunk up to its data, if it has any; returns the range that the data, still to come,
    /// or the hole is for.
    mutating func take(
        _ chunk: Reply.Chunk,
        on wire: Wire,
        _ facts: ExportFacts
    ) throws(ConversationError) -> Range<UInt64>? {
        switch chunk.type {
        case Reply.none:
            guard chunk.byteCount == 0, chunk.isLast else {
                throw .violation("the server sends an end that is none")
            }
            return nil
        case Reply.data:
            guard chunk.byteCount > 8 else { throw .violation("the server sends no data") }
            var head = try wire.receive(count: 8)
            return try add(at: try head.take(UInt64.self), UInt64(chunk.byteCount - 8))
        case Reply.hole:
            guard chunk.byteCount == 12 else { throw .violation("the server sends a false hole") }
            var head = try wire.receive(count: 12)
            return try add(at: try head.take(UInt64.self), UInt64(try head.take(UInt32.self)))
        case _ where chunk.isError:
            let error = try Reply.error(in: chunk, on: wire)
            firstError = firstError ?? error
            errorCount += 1
            guard errorCount <= Self.errorsMax else {
                throw .violation("the server does not come to an end with its errors")
            }
            return nil
        default:
            throw .violation("the server answers a read with a chunk of type \(chunk.type)")
        }
    }

    private mutating func add(
        at offset: UInt64,
        _ count: UInt64
    ) throws(ConversationError) -> Range<UInt64> {
        let (end, overflows) = offset.addingReportingOverflow(count)
        guard count > 0, !overflows, offset >= request.lowerBound, end <= request.upperBound else {
            throw .violation(
                "the server sends \(count) bytes at \(offset), which were not asked for"
            )
        }
        try covered.add(offset..<end)
        return offset..<end
    }

    /// Throws unless the chunks together were the whole answer.
    func finish() throws(ConversationError) {
        if let firstError { throw firstError }
        // A reply that leaves bytes out is no reply: they would be whatever was there before.
        guard covered.cover(request) else {
            throw .violation("the server delivers only parts of \(request.count) bytes")
        }
    }
}

/// Finds the one extent that was asked for in the chunks of a block status.
struct StatusAssembly {
    private static let chunksMax = 64
    private static let stateZero: UInt32 = 1 << 1
    private let context: UInt32?
    private var found: (length: UInt32, flags: UInt32)?
    private var firstError: ConversationError?
    private var chunkCount = 0

    init(context: UInt32?) { self.context = context }

    mutating func take(_ chunk: Reply.Chunk, on wire: Wire) throws(ConversationError) {
        chunkCount += 1
        guard chunkCount <= Self.chunksMax else {
            throw .violation("the server does not come to an end with its block status")
        }
        switch (chunk.type, chunk.byteCount) {
        case (Reply.none, 0) where chunk.isLast:
            break
        case (Reply.blockStatus, 12):
            var payload = try wire.receive(count: 12)
            guard try payload.take(UInt32.self) == context else { return }
            guard found == nil else { throw .violation("the server gives two block states") }
            found = (try payload.take(UInt32.self), try payload.take(UInt32.self))
        case _ where chunk.isError:
            let error = try Reply.error(in: chunk, on: wire)
            firstError = firstError ?? error
        default:
            throw .violation(
                "the server answers a block status with \(chunk.byteCount) bytes of type "
                    + "\(chunk.type)"
            )
        }
    }

    func finish() throws(ConversationError) -> (length: UInt32, readsAsZeros: Bool) {
        if let firstError { throw firstError }
        guard let found, found.length > 0 else {
            throw .violation("the server gives no extent there")
        }
        return (found.length, found.flags & Self.stateZero != 0)
    }
}
