internal import Digests
internal import DiskFormats
internal import JSON

/// What source.json says, as far as an approval is held against it.
struct SourceRecord {
    /// The uuid of the instance; nil for a loose image.
    let instance: String?
    /// How what was read belongs together.
    let consistency: Consistency
    /// The digests of each disk's layers, the image itself first; nil where one was not taken.
    let layers: [[Digest?]]

    private static let schema = "glovebox.source/1"

    init(_ text: [UInt8]) throws(BagStop) {
        do throws(JSONError) {
            var members = try JSONMembers(JSONValue(text), of: "it")
            let schema = try members.string("schema")
            guard Array(schema.utf8) == Array(Self.schema.utf8) else {
                throw JSONError("its schema is \"\(schema)\", not \"\(Self.schema)\"")
            }
            switch try members.value("instance") {
            case .string(let text): instance = text
            case .null: instance = nil
            default: throw JSONError("\"instance\" is neither a text nor null")
            }
            let word = try members.string("consistency")
            guard let known = Consistency(rawValue: word) else {
                throw JSONError("its consistency \"\(word)\" is not known")
            }
            consistency = known
            for name in ["reason", "host", "engine", "program", "libraries"] {
                _ = try members.value(name)
            }
            var layers: [[Digest?]] = []
            for disk in try members.array("disks") {
                var disk = try JSONMembers(disk, of: "a disk")
                layers.append(try Self.layers(disk.array("layers")))
            }
            self.layers = layers
            _ = try members.bytes("target")
            try members.end()
        } catch {
            throw .fault(.file(.source), GuestName.escaped(Array(error.description.utf8)))
        }
    }

    private static func layers(_ values: [JSONValue]) throws(JSONError) -> [Digest?] {
        var digests: [Digest?] = []
        for value in values {
            var layer = try JSONMembers(value, of: "a layer")
            let text = try layer.optionalString("sha256")
            let digest = text.flatMap { Digest(hexadecimal: $0.utf8) }
            guard text == nil || digest != nil else {
                throw JSONError("the digest of a layer is not 64 hexadecimal digits")
            }
            digests.append(digest)
        }
        return digests
    }
}
