package import Linux

/// What an engine leaves on disk: its one directory, and what is told there of others.
package enum EngineRemains {
    /// The link in an engine's directory that leads to the directory of libguestfs' sockets, which
    /// for root is in /tmp whatever it is told.
    package static let socketsLink = "libguestfs-sockets"

    /// Removes the directory, which need not exist; for when all that used it has ended.
    package static func remove(_ directory: String) throws(SystemError) {
        if let sockets = try? FileDescriptor.linkTarget("\(directory)/\(socketsLink)"),
            isLibguestfsDirectory(sockets)
        {
            try FileDescriptor.removeOwnDirectory(at: sockets)
        }
        try FileDescriptor.removeOwnDirectory(at: directory)
    }

    /// `/tmp/libguestfs` and six letters or digits, as mkdtemp(3) makes it, and nothing else: the
    /// link was made by a process that hostile disks talk to.
    static func isLibguestfsDirectory(_ path: String) -> Bool {
        let prefix = "/tmp/libguestfs"
        let rest = path.utf8.dropFirst(prefix.utf8.count)
        return path.hasPrefix(prefix) && rest.count == 6
            && rest.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "a")...UInt8(ascii: "z"):
                    true
                default: false
                }
            }
    }
}
