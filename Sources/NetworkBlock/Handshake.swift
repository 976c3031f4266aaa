internal import DiskFormats

/// The fixed newstyle handshake, up to the transmission phase.
///
/// Layout, constants and order: the NBD project's doc/proto.md, "Newstyle negotiation", "Option
/// types" and "Option reply types"
/// (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md).
struct Handshake {
    /// What the two sides agreed on.
    struct Outcome {
        let facts: ExportFacts
        /// The number that the server gave to `base:allocation` on this connection.
        let allocationContext: UInt32?
    }

    private enum Option: UInt32 {
        case go = 7
        case structuredReply = 8
        case setMetaContext = 10
    }

    private enum Answer {
        case accepted
        case declined(UInt32, String)
    }

    private static let magic: UInt64 = 0x4E42_444D_4147_4943  // NBDMAGIC
    private static let optionMagic: UInt64 = 0x4948_4156_454F_5054  // IHAVEOPT
    private static let oldstyleMagic: UInt64 = 0x0000_4202_8186_1253
    private static let replyMagic: UInt64 = 0x0003_E889_0455_65A9
    private static let allocation = "base:allocation"
    /// Strings have 4,096 bytes at most, and no reply that is of use here holds more than one.
    private static let replyBytesMax: UInt32 = 8_192
    /// More than any server has to say to one option.
    private static let repliesMax = 64

    private let wire: Wire
    private let export: String

    /// Agrees with the server on reading `export`; done before the wire's deadline or not at all.
    static func perform(on wire: Wire, export: String) throws(ConversationError) -> Outcome {
        guard export.utf8.count <= 4_096, !export.utf8.contains(0) else {
            throw .unsupported("the name of an export has 4096 bytes at most, and no zero")
        }
        let handshake = Handshake(wire: wire, export: export)
        try handshake.greet()
        let hasStructuredReplies = try handshake.askForStructuredReplies()
        let context = hasStructuredReplies ? try handshake.askForAllocation() : nil
        let facts = try handshake.go(hasStructuredReplies, context)
        return Outcome(facts: facts, allocationContext: context)
    }

    /// S: 64 bits NBDMAGIC, 64 bits IHAVEOPT, 16 bits handshake flags; C: 32 bits client flags.
    private func greet() throws(ConversationError) {
        var greeting = try wire.receive(count: 18)
        guard try greeting.take(UInt64.self) == Self.magic else {
            throw .violation("what listens there is no NBD server")
        }
        let style = try greeting.take(UInt64.self)
        guard style == Self.optionMagic else {
            throw style == Self.oldstyleMagic
                ? .unsupported("the server knows the oldstyle handshake only")
                : .violation("the server begins no handshake")
        }
        let fixedNewstyle: UInt16 = 1 << 0
        let noZeroes: UInt16 = 1 << 1
        let flags = try greeting.take(UInt16.self)
        guard flags & fixedNewstyle != 0 else {
            throw .unsupported("the server does not know the fixed newstyle handshake")
        }
        var answer: [UInt8] = []
        answer.append(be: UInt32(flags & (fixedNewstyle | noZeroes)))
        try wire.send(answer)
    }

    private func askForStructuredReplies() throws(ConversationError) -> Bool {
        let answer = try ask(.structuredReply, []) { type, _ throws(ConversationError) in
            throw Self.unexpected(type)
        }
        if case .accepted = answer { return true }
        return false
    }

    /// The server's number for `base:allocation`, or nil where it does not tell allocation.
    private func askForAllocation() throws(ConversationError) -> UInt32? {
        var question: [UInt8] = []
        question.append(counted: export)
        question.append(be: UInt32(1))
        question.append(counted: Self.allocation)
        var context: UInt32?
        let answer = try ask(.setMetaContext, question) { type, message throws(ConversationError) in
            // NBD_REP_META_CONTEXT
            guard type == 4 else { throw Self.unexpected(type) }
            let number = try message.take(UInt32.self)
            guard try message.take(count: message.byteCount) == Array(Self.allocation.utf8) else {
                return
            }
            guard context == nil else {
                throw .violation("the server names \(Self.allocation) twice")
            }
            context = number
        }
        if case .accepted = answer { return context }
        return nil
    }

    /// Chooses the export, and with that ends the handshake.
    private func go(
        _ hasStructuredReplies: Bool,
        _ context: UInt32?
    ) throws(ConversationError) -> ExportFacts {
        var question: [UInt8] = []
        question.append(counted: export)
        question.append(be: UInt16(1))
        question.append(be: UInt16(3))  // NBD_INFO_BLOCK_SIZE; NBD_INFO_EXPORT always comes.
        var size: (byteCount: UInt64, flags: UInt16)?
        var sizes: ExportFacts.Sizes?
        let answer = try ask(.go, question) { type, message throws(ConversationError) in
            // NBD_REP_INFO
            guard type == 3 else { throw Self.unexpected(type) }
            switch (try message.take(UInt16.self), message.byteCount) {
            case (0, 10) where size == nil:
                size = (try message.take(UInt64.self), try message.take(UInt16.self))
            case (3, 12) where sizes == nil:
                let minimum = try message.take(UInt32.self)
                _ = try message.take(UInt32.self)
                sizes = .init(minimum: minimum, payload: UInt64(try message.take(UInt32.self)))
            case (0, _), (3, _):
                throw .violation("the server describes the export twice, or in no known form")
            default:
                break
            }
        }
        if case .declined(let error, let text) = answer { throw refusal(error, text) }
        guard let size else { throw .violation("the server does not say how large the export is") }
        return try ExportFacts(
            byteCount: size.byteCount,
            flags: size.flags,
            sizes: sizes ?? .init(),
            hasStructuredReplies: hasStructuredReplies,
            tellsAllocation: context != nil
        )
    }

    /// One option and the replies to it; `each` gets those before the last, by type.
    private func ask(
        _ option: Option,
        _ data: [UInt8],
        each: (UInt32, inout Message) throws(ConversationError) -> Void
    ) throws(ConversationError) -> Answer {
        var question: [UInt8] = []
        question.append(be: Self.optionMagic)
        question.append(be: option.rawValue)
        question.append(be: UInt32(data.count))
        try wire.send(question + data)
        for _ in 0..<Self.repliesMax {
            var head = try wire.receive(count: 20)
            guard try head.take(UInt64.self) == Self.replyMagic,
                try head.take(UInt32.self) == option.rawValue
            else { throw .violation("the server answers an option that was not asked for") }
            let type = try head.take(UInt32.self)
            let byteCount = try head.take(UInt32.self)
            guard byteCount <= Self.replyBytesMax else {
                throw .violation("the server announces an answer of \(byteCount) bytes")
            }
            var message = try wire.receive(count: Int(byteCount))
            if type & 1 << 31 != 0 {
                let text = try message.takeText(count: message.byteCount)
                if type == Self.tlsRequired { throw refusal(type, text) }
                return .declined(type, text)
            }
            guard type == 1 else {  // NBD_REP_ACK
                try each(type, &message)
                continue
            }
            guard byteCount == 0 else { throw .violation("the server says more than yes") }
            return .accepted
        }
        throw .violation("the server does not come to an end with its answers to an option")
    }

    private static let tlsRequired: UInt32 = 1 << 31 + 5

    private func refusal(_ error: UInt32, _ text: String) -> ConversationError {
        let said = text.isEmpty ? "" : ": \(text)"
        let name = export.isEmpty ? "default" : "“\(GuestName.escaped(Array(export.utf8)))”"
        return switch error & 0xFFFF {
        case 1: .unsupported("the server does not know NBD_OPT_GO\(said)")
        case 5:
            .unsupported(
                "the server demands TLS; give it a Unix socket in a directory of your own, "
                    + "without TLS\(said)"
            )
        case 6: .violation("the server has no export \(name)\(said)")
        case 7: .violation("the server is shutting down\(said)")
        default: .violation("the server refuses the export (error \(error & 0xFFFF))\(said)")
        }
    }

    private static func unexpected(_ type: UInt32) -> ConversationError {
        .violation("the server gives an answer of type \(type), which does not belong there")
    }
}
