internal import ArchiveFile
internal import DiskFormats
internal import JSON

/// A line of `files.jsonl` (docs/evidence.md).
enum FileRecord {
    /// Where an entry was in the guest.
    struct Place {
        let guestPath: [UInt8]
        let volume: String
        let volumePath: [UInt8]?
    }

    /// Appends the line of an entry.
    static func write(_ record: ArchiveRecord, at place: Place, to json: inout JSONText) {
        let item = record.item
        let inode = item.inode
        json.object { json in
            json.member("path", base64: "path_base64", item.path)
            json.member("guest_path", base64: "guest_path_base64", place.guestPath)
            json.member("volume", base64: "volume_base64", host: place.volume)
            if let path = place.volumePath {
                json.member("volume_path", base64: "volume_path_base64", path)
            }
            // JSON's numbers are signed here; the top bit only marks inodes of subvolumes.
            json.member("inode", inode.number & UInt64(Int64.max))
            json.member("links", UInt64(inode.linkCount))
            json.member(plain: "type", type(of: item))
            json.member("mode", octal: inode.permissions)
            json.member("uid", UInt64(inode.userID))
            json.member("gid", UInt64(inode.groupID))
            json.member("mtime", inode.modified)
            json.member("ctime", inode.changed)
            json.member("atime", inode.accessed)
            if let created = inode.created { json.member("crtime", created) }
            if let first = item.linkTo {
                json.member("link_to", base64: "link_to_base64", first)
                return
            }
            if let content = record.content { write(content, size: inode.size, to: &json) }
            if inode.type == .symbolicLink {
                json.member("target", base64: "target_base64", item.target)
            }
            write(record.attributes, to: &json)
            if inode.type == .characterDevice || inode.type == .blockDevice {
                json.member("rdev", "\(inode.device?.major ?? 0):\(inode.device?.minor ?? 0)")
            }
            if let content = record.content { write(content.missing.ranges, to: &json) }
        }
        json.endLine()
    }

    /// Appends the line of a remark; nothing for one that a record already has.
    static func write(_ note: Note, to json: inout JSONText) {
        switch note {
        case .partial: return
        case .skipped(let path, let reason):
            json.object { json in
                json.member("skipped", base64: "skipped_base64", path)
                json.member("reason", reason.rawValue)
            }
        case .problem(let path, let failure, let range):
            json.object { json in
                json.member("problem", base64: "problem_base64", path)
                json.member("error", "\(failure)")
                if let range {
                    json.member("offset", range.lowerBound)
                    json.member("length", range.upperBound - range.lowerBound)
                }
            }
        }
        json.endLine()
    }

    private static func type(of item: PlannedItem) -> StaticString {
        if item.linkTo != nil { return "hardlink" }
        switch item.inode.type {
        case .regular: return "file"
        case .directory: return "directory"
        case .symbolicLink: return "symlink"
        case .characterDevice: return "char"
        case .blockDevice: return "block"
        case .fifo: return "fifo"
        case .socket: return "socket"
        }
    }

    private static func write(
        _ content: ArchiveRecord.Content,
        size: UInt64,
        to json: inout JSONText
    ) {
        json.member("size", size)
        json.key(content.isDataOnly ? "data_sha256" : "sha256")
        json.string("\(content.digest)")
    }

    private static func write(_ attributes: [ArchiveEntry.Attribute], to json: inout JSONText) {
        guard !attributes.isEmpty else { return }
        json.key("xattrs")
        json.array { json in
            for attribute in attributes {
                json.object { json in
                    json.member("name", base64: "name_base64", attribute.name)
                    json.key("value_base64")
                    json.base64(attribute.value)
                }
            }
        }
    }

    private static func write(_ missing: [Range<UInt64>], to json: inout JSONText) {
        guard !missing.isEmpty else { return }
        json.key("missing")
        json.array { json in
            for range in missing {
                json.object { json in
                    json.member("offset", range.lowerBound)
                    json.member("length", range.upperBound - range.lowerBound)
                }
            }
        }
    }
}
