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

    /// The event of the hold.
    struct Hold {
        let mode: HoldMode
        let uuid: String
        /// Whether the instance was held until all was read, by the event of the release.
        var isIntact: Bool?

        /// What a bag of that hold says of its consistency.
        var consistency: Consistency {
            switch mode {
            case .strict: .suspended
            case .brief: .pointInTime
            case .asFound: .asFoundPaused
            }
        }
    }

    private(set) var approval: ApprovalEvent?
    /// The hold; nil where the disks were at rest by themselves.
    private(set) var hold: Hold?
    /// Why it was taken, where there is no approval.
    private(set) var reason: String?
    private(set) var begun = Timestamp(seconds: 0)
    private(set) var sealedAt = Timestamp(seconds: 0)
    private(set) var extracted = Extracted()
    private(set) var sealed = Sealed(digests: [:], operatorKey: nil)

    /// The events in the only order that they have.
    private enum Event: String, CaseIterable {
        case begin, held, opened, read, audit, released, extracted, sealed

        /// Whether a bag may do without: a host without an audit log has no head of one, and an
        /// instance that is off is not held.
        var isOptional: Bool { self == .held || self == .audit || self == .released }

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
                while let next = order.first, next.isOptional, !next.isNamed(name) {
                    order.removeFirst()
                }
                guard let event = order.popFirst(), event.isNamed(name) else {
                    let shown = GuestName.escaped(Array(name.utf8))
                    throw JSONError("here stands \(shown) where \(wanted.wanted) belongs")
                }
                let time = try Self.time(&members)
                if event == .begin { begun = time }
                if event == .sealed { sealedAt = time }
                if event == .released, hold == nil {
                    throw JSONError("here stands released, but nothing was held")
                }
                try read(event, name, &members)
            } catch {
                throw .fault(.line(.custody, lines.number), Self.shown(error))
            }
        }
        try lines.end()
        try checkHold()
    }

    /// Who holds an instance lets go of it; and what was not held to the end is not complete.
    private func checkHold() throws(BagStop) {
        guard let hold else { return }
        guard let isIntact = hold.isIntact else {
            throw .fault(.file(.custody), "it has an event held, but none released")
        }
        guard isIntact || !extracted.isComplete else {
            throw .fault(
                .file(.custody),
                "the hold did not stay intact, but the event extracted says that all is there"
            )
        }
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
        case .held:
            hold = try Hold(&members)
            try members.end()
        case .released:
            if let held = hold { hold = try held.released(&members) }
            try members.end()
        case .opened, .read, .audit:
            break
        }
    }
}

extension CustodyRecord.Hold {
    fileprivate init(_ members: inout JSONMembers) throws(JSONError) {
        _ = try members.string("session")
        let word = try members.string("mode")
        guard let mode = HoldMode(rawValue: word) else {
            throw JSONError("the mode \"\(word)\" is not known")
        }
        self.mode = mode
        _ = try members.integer("domain_id") as UInt64
        uuid = try members.string("uuid")
    }

    fileprivate func released(_ members: inout JSONMembers) throws(JSONError) -> Self {
        _ = try members.string("ending")
        _ = try members.string("resumption")
        _ = members.optional("paused_ms")
        var hold = self
        hold.isIntact = try members.boolean("intact")
        return hold
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
