internal import Glibc

/// The passphrases that have opened volumes, for the appliances that checks start later.
///
/// They never leave this process but to libguestfs, and are wiped with the value.
final class KeyRing {
    struct Opened {
        let disk: String
        let volume: String
        var key: [UInt8]
    }

    /// What was opened, in that order: a volume may lie in one that was opened before.
    private(set) var opened: [Opened] = []

    func keep(_ key: [UInt8], of volume: String, on disk: String) {
        opened.append(Opened(disk: disk, volume: volume, key: key))
    }

    deinit {
        for index in opened.indices {
            unsafe opened[index].key.withUnsafeMutableBytes { bytes in
                guard let start = bytes.baseAddress else { return }
                unsafe explicit_bzero(start, bytes.count)
            }
        }
    }
}
