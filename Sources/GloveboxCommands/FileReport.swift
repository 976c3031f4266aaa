internal import Casework
internal import DiskFormats
internal import JSON

/// A file as the listing commands show it: where it is, what its inode says.
struct FileReport {
    let volume: GuestPath.VolumeName
    let path: [UInt8]
    let inode: Inode
    /// Where a symbolic link leads.
    let target: [UInt8]?

    init(volume: GuestPath.VolumeName, path: [UInt8], inode: Inode, target: [UInt8]?) {
        self.volume = volume
        self.path = path
        self.inode = inode
        self.target = target
    }

    /// Reads what there is to say of one file.
    init(_ file: GuestFile) throws(GloveboxError) {
        let object = "\(file.volume):\(GuestName.escaped(file.path))"
        let inode = try reading(object) { () throws(DiskError) in
            try file.fileSystem.inode(file.inode)
        }
        var target: [UInt8]?
        if inode.type == .symbolicLink {
            target = try reading(object) { () throws(DiskError) in
                try file.fileSystem.linkTarget(of: file.inode)
            }
        }
        self.init(volume: file.volume, path: file.path, inode: inode, target: target)
    }

    /// One JSON object, as docs/json.md describes it; `more` adds members.
    func write(to json: inout JSONText, more: (inout JSONText) -> Void = { _ in }) {
        json.object { json in
            json.member("path", base64: "path_base64", path)
            json.member("volume", base64: "volume_base64", host: volume.description)
            json.member("type", inode.type.rawValue)
            json.member("size", inode.size)
            json.member("allocated", inode.allocatedBytes)
            json.member("permissions", octal: inode.permissions)
            json.member("uid", UInt64(inode.userID))
            json.member("gid", UInt64(inode.groupID))
            json.member("links", UInt64(inode.linkCount))
            json.member("inode", inode.number)
            json.member("mtime", inode.modified)
            json.member("atime", inode.accessed)
            json.member("ctime", inode.changed)
            if let created = inode.created { json.member("btime", created) }
            if let target { json.member("target", base64: "target_base64", target) }
            if let device = inode.device {
                json.member("major", UInt64(device.major))
                json.member("minor", UInt64(device.minor))
            }
            if let obstacle = inode.obstacle { json.member("obstacle", obstacle.rawValue) }
            more(&json)
        }
    }

    /// `0644`: always four digits.
    static func octal(_ permissions: UInt16) -> String {
        let digits = String(permissions, radix: 8)
        return String(repeating: "0", count: 4 - digits.count) + digits
    }

    /// A line in the manner of `ls -ln`, with the time in UTC; `name` is shown as the file's name.
    func appendLong(name: [UInt8], to text: inout [UInt8]) {
        appendMode(to: &text)
        text.append(UInt8(ascii: " "))
        append(UInt64(inode.linkCount), width: 3, to: &text)
        append(UInt64(inode.userID), width: 6, to: &text)
        append(UInt64(inode.groupID), width: 6, to: &text)
        if let device = inode.device {
            let numbers = "\(device.major),\(device.minor)".aligned(to: 13)
            text.append(contentsOf: numbers.utf8)
        } else {
            append(inode.size, width: 12, to: &text)
        }
        text.append(UInt8(ascii: " "))
        inode.modified.appendISO8601(to: &text, decimals: false)
        text.append(UInt8(ascii: " "))
        GuestName.appendEscaped(name, to: &text)
        if let target {
            text.append(contentsOf: " -> ".utf8)
            GuestName.appendEscaped(target, to: &text)
        }
        if let obstacle = inode.obstacle {
            text.append(contentsOf: " [\(obstacle.rawValue)]".utf8)
        }
        text.append(UInt8(ascii: "\n"))
    }

    private func append(_ number: UInt64, width: Int, to text: inout [UInt8]) {
        let start = text.count
        text.append(UInt8(ascii: " "))
        text.append(decimal: number)
        let missing = width + 1 - (text.count - start)
        if missing > 0 {
            text.insert(contentsOf: repeatElement(UInt8(ascii: " "), count: missing), at: start)
        }
    }

    private func appendMode(to text: inout [UInt8]) {
        let types: [FileType: Character] = [
            .regular: "-", .directory: "d", .symbolicLink: "l", .characterDevice: "c",
            .blockDevice: "b", .fifo: "p", .socket: "s",
        ]
        text.append((types[inode.type] ?? "?").asciiValue ?? 0x3F)
        let mode = inode.permissions
        for (shift, special, letter) in [(6, 0o4000, "s"), (3, 0o2000, "s"), (0, 0o1000, "t")] {
            let bits = mode >> UInt16(shift)
            let set = mode & UInt16(special) != 0
            text.append(UInt8(ascii: bits & 4 != 0 ? "r" : "-"))
            text.append(UInt8(ascii: bits & 2 != 0 ? "w" : "-"))
            let execute = bits & 1 != 0 ? "x" : "-"
            let shown = set ? (bits & 1 != 0 ? letter : letter.uppercased()) : execute
            text.append(contentsOf: shown.utf8)
        }
    }
}
