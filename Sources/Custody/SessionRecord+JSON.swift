internal import JSON

extension SessionRecord {
    /// The word for it in a journal.
    package var event: StaticString {
        switch self {
        case .opened: "opened"
        case .suspending: "suspending"
        case .suspended: "suspended"
        case .exporting: "exporting"
        case .exported: "exported"
        case .connected: "connected"
        case .mounted: "mounted"
        case .unmounted: "unmounted"
        case .disconnected: "disconnected"
        case .invalidated: "invalidated"
        case .withdrawing: "withdrawing"
        case .withdrawn: "withdrawn"
        case .resuming: "resuming"
        case .resumed: "resumed"
        case .recovering: "recovering"
        case .ended: "ended"
        }
    }

    /// The same with texts for people cut to what a journal has room for.
    var cut: SessionRecord {
        switch self {
        case .opened(var opening):
            opening.domain = SessionForm.cut(opening.domain, to: SessionForm.domainBytesMax)
            opening.uri = SessionForm.cut(opening.uri, to: SessionForm.uriBytesMax)
            opening.user = SessionForm.cut(opening.user, to: SessionForm.userBytesMax)
            return .opened(opening)
        case .invalidated(let reason):
            return .invalidated(reason: SessionForm.cut(reason, to: SessionForm.reasonBytesMax))
        default: return self
        }
    }

    /// Writes what it says besides its word.
    func write(to json: inout JSONText) {
        switch self {
        case .opened(let opening): opening.write(to: &json)
        case .suspending(let seenRunning): json.member("seen_running", seenRunning)
        case .connected(let readers):
            json.key("readers")
            json.array { json in for reader in readers { reader.write(to: &json) } }
        case .invalidated(let reason): json.member("reason", reason)
        case .resumed(let resumption): json.member("resumption", resumption.rawValue)
        case .recovering(let process):
            json.key("by")
            process.write(to: &json)
        case .ended(let ending): json.member("ending", ending.rawValue)
        case .suspended, .exporting, .exported, .mounted, .unmounted, .disconnected, .withdrawing,
            .withdrawn, .resuming:
            break
        }
    }

    /// Reads what ``write(to:)`` wrote for `event`.
    init(_ event: String, _ members: inout JSONMembers) throws(JSONError) {
        switch event {
        case "opened": self = .opened(try Opening(&members))
        case "suspending": self = .suspending(seenRunning: try members.integer("seen_running"))
        case "suspended": self = .suspended
        case "exporting": self = .exporting
        case "exported": self = .exported
        case "connected": self = .connected(readers: try Self.readers(&members))
        case "mounted": self = .mounted
        case "unmounted": self = .unmounted
        case "disconnected": self = .disconnected
        case "invalidated":
            self = .invalidated(
                reason: try members.text("reason", bytesMax: SessionForm.reasonBytesMax)
            )
        case "withdrawing": self = .withdrawing
        case "withdrawn": self = .withdrawn
        case "resuming": self = .resuming
        case "resumed": self = .resumed(try members.word("resumption"))
        case "recovering": self = .recovering(by: try ProcessIdentity(members.value("by")))
        case "ended": self = .ended(try members.word("ending"))
        default: throw JSONError("\"event\" is a word that only a newer Glovebox can know")
        }
    }

    private static func readers(
        _ members: inout JSONMembers
    ) throws(JSONError) -> [ProcessIdentity] {
        let values = try members.array("readers")
        guard values.count <= CustodyRequest.readersMax else {
            throw JSONError("\"readers\" are more than \(CustodyRequest.readersMax)")
        }
        var readers: [ProcessIdentity] = []
        for value in values { readers.append(try ProcessIdentity(value)) }
        return readers
    }
}

extension SessionRecord.Opening {
    fileprivate func write(to json: inout JSONText) {
        json.member("session", session)
        json.member("uuid", run.uuid)
        json.member("id", Int(run.id))
        json.member("domain", domain)
        json.member("mode", mode.rawValue)
        json.member("boot", bootID)
        json.member("uri", uri)
        json.member("pause_max", UInt64(pauseSecondsMax))
        json.member("user", user)
        json.key("program")
        program.write(to: &json)
        json.key("custodian")
        custodian.write(to: &json)
    }

    fileprivate init(_ members: inout JSONMembers) throws(JSONError) {
        self.init(
            session: try members.text("session", "a session's name", SessionForm.isName),
            run: DomainRun(
                uuid: try members.text("uuid", "a uuid in lower case", SessionForm.isUUID),
                id: try members.integer("id")
            ),
            domain: try members.text("domain", bytesMax: SessionForm.domainBytesMax),
            mode: try members.word("mode"),
            bootID: try members.text("boot", "a uuid in lower case", SessionForm.isUUID),
            uri: try members.text("uri", bytesMax: SessionForm.uriBytesMax),
            pauseSecondsMax: try members.integer("pause_max"),
            user: try members.text("user", bytesMax: SessionForm.userBytesMax),
            program: try ProcessIdentity(members.value("program")),
            custodian: try ProcessIdentity(members.value("custodian"))
        )
    }
}

extension ProcessIdentity {
    fileprivate func write(to json: inout JSONText) {
        json.object { json in
            json.member("pid", Int(processID))
            json.member("start", startTicks)
        }
    }

    fileprivate init(_ value: JSONValue) throws(JSONError) {
        var members = try JSONMembers(value, of: "a process")
        self.init(
            processID: try members.integer("pid"),
            startTicks: try members.integer("start")
        )
        try members.end()
        // 0 and negative numbers mean groups of processes to kill(2).
        guard processID > 0 else { throw JSONError("\"pid\" is not the number of a process") }
    }
}

extension JSONMembers {
    /// A text for people, of limited length.
    fileprivate mutating func text(
        _ name: String,
        bytesMax: Int
    ) throws(JSONError) -> String {
        let text = try string(name)
        guard text.utf8.count <= bytesMax else {
            throw JSONError("\"\(name)\" has more than \(bytesMax) bytes")
        }
        return text
    }

    /// A text of a certain form.
    fileprivate mutating func text(
        _ name: String,
        _ wanted: String,
        _ fits: (String) -> Bool
    ) throws(JSONError) -> String {
        let text = try string(name)
        guard fits(text) else { throw JSONError("\"\(name)\" is not \(wanted)") }
        return text
    }

    /// One of our words.
    fileprivate mutating func word<Word: RawRepresentable>(
        _ name: String
    ) throws(JSONError) -> Word where Word.RawValue == String {
        guard let word = Word(rawValue: try string(name)) else {
            throw JSONError("\"\(name)\" is a word that only a newer Glovebox can know")
        }
        return word
    }
}
