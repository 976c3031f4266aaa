package import Digests
package import DiskFormats
package import JSON

/// What an approval document says (schema `glovebox.approval/1`); nobody has vouched for it yet.
package struct ApprovalDocument: Equatable, Sendable {
    /// What it is about.
    package enum Subject: Equatable, Sendable {
        /// A Nova instance, by its uuid.
        case instance(String)
        /// One image, by the digest of each layer's file, the image itself first.
        case image([Digest])
    }

    package var id: String
    package var ticket: String
    package var subject: Subject
    package var scope: Scope
    package var actions: [Purpose]
    package var requester: String
    package var approver: String
    /// Valid from here on, in whole seconds.
    package var notBefore: Timestamp
    /// No longer valid from here on, in whole seconds.
    package var expires: Timestamp
    package var reason: String

    package static let schema = "glovebox.approval/1"
    /// The longest document that is read.
    package static let byteCountMax = 64 << 10

    private static let layersMax = 16
    private static let patternsMax = 256
    private static let ticketBytesMax = 256
    private static let reasonBytesMax = 4096
    private static let principalBytesMax = 256

    /// Reads the document strictly: every member once, none unknown, each in its only form.
    package init(_ bytes: [UInt8]) throws(JSONError) {
        guard bytes.count <= Self.byteCountMax else {
            throw JSONError("it has more than \(Self.byteCountMax) bytes")
        }
        var members = try JSONMembers(JSONValue(bytes), of: "the document")
        let schema = try members.string("schema")
        guard Array(schema.utf8) == Array(Self.schema.utf8) else {
            throw JSONError("its schema is \"\(schema)\", not \"\(Self.schema)\"")
        }
        id = try Self.uuid(members.string("id"), "id")
        guard Array(id.utf8)[14] == UInt8(ascii: "4") else {
            throw JSONError("\"id\" is no uuid of version 4")
        }
        ticket = try Self.line(members.string("ticket"), "ticket", Self.ticketBytesMax)
        subject = try Self.subject(&members)
        scope = try Self.scope(members.strings("scope"))
        actions = try Self.actions(members.strings("actions"))
        requester = try Self.principal(members.string("requester"), "requester")
        approver = try Self.principal(members.string("approver"), "approver")
        notBefore = try Self.time(members.string("not_before"), "not_before")
        expires = try Self.time(members.string("expires"), "expires")
        reason = try Self.line(members.string("reason"), "reason", Self.reasonBytesMax)
        try members.end()
        guard notBefore < expires else { throw JSONError("it expires before it begins") }
    }

    /// Creates a document that ``init(_:)`` would read; to be made sure by reading ``text``.
    package init(
        id: String,
        ticket: String,
        subject: Subject,
        scope: Scope,
        actions: [Purpose],
        requester: String,
        approver: String,
        notBefore: Timestamp,
        expires: Timestamp,
        reason: String
    ) {
        self.id = id
        self.ticket = ticket
        self.subject = subject
        self.scope = scope
        self.actions = actions
        self.requester = requester
        self.approver = approver
        self.notBefore = notBefore
        self.expires = expires
        self.reason = reason
    }

    private static func subject(_ members: inout JSONMembers) throws(JSONError) -> Subject {
        let instance = try members.optionalString("instance")
        let image = members.optional("image")
        if let instance, image == nil { return .instance(try uuid(instance, "instance")) }
        guard instance == nil, let image else {
            throw JSONError("it names neither just an \"instance\" nor just an \"image\"")
        }
        var imageMembers = try JSONMembers(image, of: "\"image\"")
        var layers: [Digest] = []
        for text in try imageMembers.strings("layers") {
            guard let digest = Digest(hexadecimal: text.utf8) else {
                throw JSONError("a layer of \"image\" is not 64 hexadecimal digits, lower case")
            }
            layers.append(digest)
        }
        try imageMembers.end()
        guard 1...layersMax ~= layers.count else {
            throw JSONError("\"image\" does not have 1 to \(layersMax) layers")
        }
        return .image(layers)
    }

    private static func scope(_ texts: [String]) throws(JSONError) -> Scope {
        guard 1...patternsMax ~= texts.count else {
            throw JSONError("\"scope\" does not have 1 to \(patternsMax) patterns")
        }
        var patterns: [ScopePattern] = []
        for text in texts {
            do throws(ScopePattern.Failure) { patterns.append(try ScopePattern(text)) } catch {
                throw JSONError("\"\(GuestName.escaped(Array(text.utf8)))\" \(error.reason)")
            }
        }
        return Scope(patterns: patterns)
    }

    private static func actions(_ texts: [String]) throws(JSONError) -> [Purpose] {
        var actions: [Purpose] = []
        for text in texts {
            guard let action = Purpose(rawValue: text), !actions.contains(action) else {
                throw JSONError(
                    "\"actions\" is not a list of list, read, extract, check, each once"
                )
            }
            actions.append(action)
        }
        guard !actions.isEmpty else { throw JSONError("\"actions\" is empty") }
        return actions
    }

    /// Text of one line that shows all that is in it.
    private static func line(
        _ text: String,
        _ name: String,
        _ byteCountMax: Int
    ) throws(JSONError) -> String {
        guard 1...byteCountMax ~= text.utf8.count,
            text.unicodeScalars.allSatisfy(GuestName.isHarmless)
        else {
            throw JSONError("\"\(name)\" is not 1 to \(byteCountMax) bytes of visible characters")
        }
        return text
    }

    /// As the lists of signers have it: printable ASCII without blanks and wildcards.
    private static func principal(_ text: String, _ name: String) throws(JSONError) -> String {
        let isPlain = text.utf8.allSatisfy {
            0x21...0x7E ~= $0 && !Array("*?!,\"".utf8).contains($0)
        }
        guard isPlain, 1...principalBytesMax ~= text.utf8.count else {
            throw JSONError("\"\(name)\" is not a name as the lists of signers have it")
        }
        return text
    }

    /// 36 lower-case characters (RFC 9562, 4).
    private static func uuid(_ text: String, _ name: String) throws(JSONError) -> String {
        guard isUUID(text) else {
            throw JSONError("\"\(name)\" is not a uuid in lower case")
        }
        return text
    }

    /// Whether `text` is a uuid in its lower-case form.
    package static func isUUID(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.count == 36
            && bytes.enumerated().allSatisfy { index, byte in
                if [8, 13, 18, 23].contains(index) { return byte == UInt8(ascii: "-") }
                return 0x30...0x39 ~= byte || 0x61...0x66 ~= byte
            }
    }

    /// `2026-01-31T12:00:00Z` and no other form.
    private static func time(_ text: String, _ name: String) throws(JSONError) -> Timestamp {
        guard let time = Timestamp(iso8601: text), Array(time.inSeconds.utf8) == Array(text.utf8)
        else { throw JSONError("\"\(name)\" is not a time such as 2026-01-31T12:00:00Z") }
        return time
    }
}

extension ApprovalDocument {
    /// The document as it is signed.
    package var text: [UInt8] {
        var json = JSONText()
        json.object { json in
            json.member("schema", Self.schema)
            json.member("id", id)
            json.member("ticket", ticket)
            switch subject {
            case .instance(let uuid): json.member("instance", uuid)
            case .image(let layers):
                json.key("image")
                json.object { json in
                    json.key("layers")
                    json.array { json in for layer in layers { json.string("\(layer)") } }
                }
            }
            json.key("scope")
            json.array { json in for pattern in scope.patterns { json.string(pattern.text) } }
            json.key("actions")
            json.array { json in for action in actions { json.string(action.rawValue) } }
            json.member("requester", requester)
            json.member("approver", approver)
            json.member("not_before", notBefore.inSeconds)
            json.member("expires", expires.inSeconds)
            json.member("reason", reason)
        }
        json.endLine()
        return json.bytes
    }
}

extension Timestamp {
    /// ``iso8601`` without the fraction.
    package var inSeconds: String {
        var text: [UInt8] = []
        appendISO8601(to: &text, decimals: false)
        return String(decoding: text, as: UTF8.self)
    }
}
