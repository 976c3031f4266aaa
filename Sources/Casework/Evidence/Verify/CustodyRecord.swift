internal import Custody
internal import Digests
internal import DiskFormats
internal import JSON

/// What custody.jsonl says, as far as the rest of the bag can be held against it.
struct CustodyRecord {
    /// A signer, as the event of the approval names one.
    struct Signer: Equatable {
        let principal: String
        let fingerprint: String
    }

    /// The event of the approval.
    struct ApprovalEvent {
        let id: String
        let ticket: String
        let document: Digest
        let requester: Signer
        let approver: Signer
    }

    /// The event of the extraction.
    struct Extracted {
        /// The paths as they were asked for.
        var paths: [[UInt8]] = []
        var counts: [String: UInt64] = [:]
        var isComplete = false
        var ending = ""
    }

    /// The event of the seal.
    struct Sealed {
        let digests: [BagFile: Digest]
        let operatorKey: String?
    }

    private(set) var approval: ApprovalEvent?
    /// Why it was taken, where there is no approval.
    private(set) var reason: String?
    private(set) var begun = Timestamp(seconds: 0)
    private(set) var sealedAt = Timestamp(seconds: 0)
    private(set) var extracted = Extracted()
    private(set) var sealed = Sealed(digests: [:], operatorKey: nil)

    /// The events in the only order that they have.
    private enum Event: String, CaseIterable {
        case begin, opened, read, audit, extracted, sealed

        /// What an event of this place may be called.
        func isNamed(_ name: String) -> Bool {
            self == .begin ? name == "approval" || name == "unapproved" : name == rawValue
        }

        var wanted: String { self == .begin ? "approval or unapproved" : rawValue }
    }

    /// Reads the chain whole; the first thing that is wrong is the fault.
    init(_ text: [UInt8]) throws(BagStop) {
        var chain = HashChain()
        var lines = BagLines(text, of: .custody)
        var order = Event.allCases[...]
        while let wanted = order.first {
            let line = Array(try lines.next("the event \(wanted.wanted)"))
            do throws(JSONError) {
                guard line.count < HashChain.lineBytesMax else { throw JSONError("it is too long") }
                var members = try chain.read(line)
                let name = try members.string("event")
                // A host without an audit log has no head of one.
                if wanted == .audit, !wanted.isNamed(name) { order.removeFirst() }
                guard let event = order.popFirst(), event.isNamed(name) else {
                    let shown = GuestName.escaped(Array(name.utf8))
                    throw JSONError("here stands \(shown) where \(wanted.wanted) belongs")
                }
                let time = try Self.time(&members)
                if event == .begin { begun = time }
                if event == .sealed { sealedAt = time }
                try read(event, name, &members)
            } catch {
                throw .fault(.line(.custody, lines.number), Self.shown(error))
            }
        }
        try lines.end()
    }

    private static func shown(_ error: JSONError) -> String {
        GuestName.escaped(Array(error.description.utf8))
    }

    private static func time(_ members: inout JSONMembers) throws(JSONError) -> Timestamp {
        let text = try members.string("time")
        guard let time = Timestamp(iso8601: text), Array(time.iso8601.utf8) == Array(text.utf8)
        else { throw JSONError("its time has another form") }
        return time
    }

    private mutating func read(
        _ event: Event,
        _ name: String,
        _ members: inout JSONMembers
    ) throws(JSONError) {
        switch event {
        case .begin where name == "approval":
            approval = try ApprovalEvent(&members)
        case .begin:
            if case .string(let text)? = members.optional("reason") { reason = text }
        case .extracted: extracted = try Extracted(&members)
        case .sealed:
            sealed = try Sealed(&members)
            try members.end()
        case .opened, .read, .audit:
            break
        }
    }
}

extension CustodyRecord.ApprovalEvent {
    fileprivate init(_ members: inout JSONMembers) throws(JSONError) {
        id = try members.string("id")
        ticket = try members.string("ticket")
        document = try members.digest("document")
        requester = try .init(&members, "requester")
        approver = try .init(&members, "approver")
    }
}

extension CustodyRecord.Signer {
    fileprivate init(_ members: inout JSONMembers, _ name: String) throws(JSONError) {
        var signer = try JSONMembers(members.value(name), of: "\"\(name)\"")
        principal = try signer.string("principal")
        fingerprint = try signer.string("key")
        try signer.end()
    }
}

extension CustodyRecord.Extracted {
    fileprivate init(_ members: inout JSONMembers) throws(JSONError) {
        for value in try members.array("paths") {
            var path = try JSONMembers(value, of: "a path")
            paths.append(try path.bytes("path"))
            try path.end()
        }
        for name in ["records", "files", "directories", "other"] {
            counts[name] = try members.integer(name)
        }
        isComplete = try members.boolean("complete")
        ending = try members.string("ending")
    }
}

extension CustodyRecord.Sealed {
    fileprivate init(_ members: inout JSONMembers) throws(JSONError) {
        digests = [
            .archive: try members.digest("files_tar"),
            .records: try members.digest("files_jsonl"),
            .source: try members.digest("source"),
        ]
        switch try members.value("operator") {
        case .string(let text): operatorKey = text
        case .null: operatorKey = nil
        default: throw JSONError("\"operator\" is neither a text nor null")
        }
    }
}

extension JSONMembers {
    /// A digest in hexadecimal.
    fileprivate mutating func digest(_ name: String) throws(JSONError) -> Digest {
        guard let digest = Digest(hexadecimal: try string(name).utf8) else {
            throw JSONError("\"\(name)\" is not 64 hexadecimal digits, lower case")
        }
        return digest
    }
}
