internal import Digests
internal import DiskFormats
internal import JSON

/// A line of files.jsonl that describes an entry of files.tar.
struct StatedRecord {
    let path: [UInt8]
    let guestPath: [UInt8]
    /// `DISK:VOLUME`.
    let volume: [UInt8]
    /// The path in the volume's own tree, where the record has it beside the guest's.
    let volumePath: [UInt8]?
    let type: String
    let mode: String
    let user: UInt64
    let group: UInt64
    let modified: String
    let size: UInt64?
    /// Of the whole content, or of the stored ranges alone.
    let digest: Digest?
    let isDataDigest: Bool
    /// Where a link leads, symbolic or hard.
    let link: [UInt8]?
    let attributes: [(name: [UInt8], value: [UInt8])]
    let device: String?

    /// The longest line that is read.
    static let lineBytesMax = 32 << 20
    /// How many values a line may have: what they take in memory is bounded by that.
    private static let valuesMax = 1 << 18

    /// Reads a line; what has another form is an error.
    init(_ members: JSONMembers) throws(JSONError) {
        var members = members
        path = try members.bytes("path")
        guestPath = try members.bytes("guest_path")
        volume = try members.bytes("volume")
        volumePath = try members.optionalBytes("volume_path")
        _ = try members.integer("inode", as: UInt64.self)
        _ = try members.integer("links", as: UInt64.self)
        type = try members.string("type")
        mode = try members.string("mode")
        user = try members.integer("uid")
        group = try members.integer("gid")
        modified = try members.string("mtime")
        let times = [
            modified, try members.string("ctime"), try members.string("atime"),
            try members.optionalString("crtime") ?? modified,
        ]
        guard times.allSatisfy(Self.isTime) else { throw JSONError("a time has another form") }
        let isFile = type == "file"
        size = isFile ? try members.integer("size") : nil
        let whole = try members.optionalString("sha256")
        let data = try members.optionalString("data_sha256")
        isDataDigest = data != nil
        digest = try Self.digest(whole, data, isFile: isFile)
        switch type {
        case "symlink": link = try members.bytes("target")
        case "hardlink": link = try members.bytes("link_to")
        default: link = nil
        }
        attributes = try Self.attributes(&members)
        device = type == "char" || type == "block" ? try members.string("rdev") : nil
        try Self.checkMissing(&members, size: size)
        try members.end()
    }

    /// The members of a line.
    static func members(_ line: [UInt8]) throws(JSONError) -> JSONMembers {
        var values = 0
        for byte in line {
            // Each value but the first comes after one of these.
            let begins = byte == UInt8(ascii: ",") || byte == UInt8(ascii: "[")
            values += begins || byte == UInt8(ascii: "{") ? 1 : 0
        }
        guard values <= valuesMax else { throw JSONError("it has more than \(valuesMax) values") }
        return try JSONMembers(JSONValue(line), of: "it")
    }

    private static func isTime(_ text: String) -> Bool {
        let bytes = text.utf8
        return 30...50 ~= bytes.count && bytes.last == UInt8(ascii: "Z")
            && bytes.dropLast().allSatisfy { 0x2B...0x3A ~= $0 || $0 == UInt8(ascii: "T") }
    }

    private static func digest(
        _ whole: String?,
        _ data: String?,
        isFile: Bool
    ) throws(JSONError) -> Digest? {
        guard let text = whole ?? data else {
            guard !isFile else { throw JSONError("the digest of a file is missing") }
            return nil
        }
        guard isFile, whole == nil || data == nil else {
            throw JSONError("there is a digest that does not belong there")
        }
        guard let digest = Digest(hexadecimal: text.utf8) else {
            throw JSONError("a digest is not 64 hexadecimal digits, lower case")
        }
        return digest
    }

    private static func attributes(
        _ members: inout JSONMembers
    ) throws(JSONError) -> [(name: [UInt8], value: [UInt8])] {
        guard let list = members.optional("xattrs") else { return [] }
        guard case .array(let values) = list, !values.isEmpty else {
            throw JSONError("\"xattrs\" is not a list, or empty")
        }
        var attributes: [(name: [UInt8], value: [UInt8])] = []
        for value in values {
            var members = try JSONMembers(value, of: "an attribute")
            let name = try members.bytes("name")
            guard let value = Base64.decode(try members.string("value_base64").utf8) else {
                throw JSONError("\"value_base64\" of an attribute is not base64")
            }
            try members.end()
            attributes.append((name, value))
        }
        return attributes
    }

    private static func checkMissing(
        _ members: inout JSONMembers,
        size: UInt64?
    ) throws(JSONError) {
        guard let list = members.optional("missing") else { return }
        guard case .array(let values) = list, !values.isEmpty, let size else {
            throw JSONError("\"missing\" is not a list of ranges of a file")
        }
        var last: UInt64 = 0
        for value in values {
            var range = try JSONMembers(value, of: "a missing range")
            let offset = try range.integer("offset", as: UInt64.self)
            let length = try range.integer("length", as: UInt64.self)
            try range.end()
            guard offset >= last, offset <= size, 1...max(1, size - offset) ~= length else {
                throw JSONError("a missing range is not in order, or leaves the file")
            }
            last = offset + length
        }
    }
}

extension JSONMembers {
    /// The bytes of that name: text, or base64 beside a readable form where they are not UTF-8.
    mutating func bytes(_ name: String) throws(JSONError) -> [UInt8] {
        let text = try string(name)
        guard let exact = try optionalString(name + "_base64") else { return Array(text.utf8) }
        guard let bytes = Base64.decode(exact.utf8),
            String(validating: bytes, as: UTF8.self) == nil,
            GuestName.escaped(bytes).utf8.elementsEqual(text.utf8)
        else { throw JSONError("\"\(name)_base64\" does not fit \"\(name)\"") }
        return bytes
    }

    /// The same where it is there.
    mutating func optionalBytes(_ name: String) throws(JSONError) -> [UInt8]? {
        guard contains(name) else { return nil }
        return try bytes(name)
    }
}
